/** `mayfly pauses list`: identifiers that failed too often in a row, and for whose account. */
import { type CommandContext, defineCommand } from "./command.ts";
import { listOptions, tableOf, withRest } from "./rest.ts";

const options = {
  account: { type: "string", value: "ID", description: "only of this account" },
  value: { type: "string", value: "NAME", description: "only of this identifier" },
  ...listOptions,
} as const;

export const command = defineCommand({
  name: "pauses list",
  summary: "show identifiers that are paused for their accounts",
  usage: "[OPTION …]",
  description:
    "Prints each account's identifiers that failed too often in a row and get no order until they are resumed.",
  options,
  examples: [{ does: "all of them", command: "mayfly pauses list" }],
  run: list,
});

interface Pause {
  readonly account: string;
  readonly identifier: { readonly type: string; readonly value: string };
  readonly failures: number;
  readonly pausedAt: string;
}

async function list(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const { account, value } = values;
  const found = await withRest(context, (rest) => rest.list<Pause>("/pauses", "pauses", { account, value }));
  if (values.json) for (const pause of found) stdout.write(`${JSON.stringify(pause)}\n`);
  else stdout.write(tableOf(["ACCOUNT", "IDENTIFIER", "FAILURES", "SINCE"], found.map(row)));
}

const row = ({ account, identifier: { type, value }, failures, pausedAt }: Pause): string[] => [
  account,
  `${type} ${value}`,
  String(failures),
  pausedAt,
];
