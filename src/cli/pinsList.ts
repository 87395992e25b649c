/** `mayfly pins list`: to which accounts running instances belong. */
import { type CommandContext, defineCommand } from "./command.ts";
import { listOptions, tableOf, withRest } from "./rest.ts";

const options = {
  source: { type: "string", value: "REF", description: "instances that this evidence source named" },
  instance: { type: "string", value: "NAME", description: "this instance" },
  shared: { type: "boolean", description: "only those that a second account has shown" },
  ...listOptions,
} as const;

export const command = defineCommand({
  name: "pins list",
  summary: "show to which accounts running instances belong",
  usage: "[OPTION …]",
  description:
    "Prints the source, how instances of it are pinned, how many accounts this one belongs to, when it was seen last, and its name. Pins that have ended are left out.",
  options,
  examples: [{ does: "what more than one account has shown", command: "mayfly pins list --shared" }],
  run: list,
});

interface Pin {
  readonly source: string;
  readonly instance: string;
  readonly mode: string;
  readonly accounts: readonly string[];
  readonly lastSeenAt: string;
}

async function list(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const { source, instance } = values;
  const query = { source, instance, shared: values.shared ? "true" : undefined };
  const found = await withRest(context, (rest) => rest.list<Pin>("/instance-pins", "instancePins", query));
  if (values.json) for (const pin of found) stdout.write(`${JSON.stringify(pin)}\n`);
  else stdout.write(tableOf(["SOURCE", "MODE", "ACCOUNTS", "LAST SEEN", "INSTANCE"], found.map(row)));
}

const row = ({ source, mode, accounts, lastSeenAt, instance }: Pin): string[] => [
  source,
  mode,
  String(accounts.length),
  lastSeenAt,
  instance,
];
