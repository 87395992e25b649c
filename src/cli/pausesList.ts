/** `mayfly pauses list`: identifiers that failed too often in a row, and for whose account. */
import { type CommandContext, defineCommand } from "./command.ts";
import { restOptions, tableOf, withRest } from "./rest.ts";

const options = {
  account: { type: "string", value: "ID", description: "only of this account" },
  value: { type: "string", value: "NAME", description: "only of this identifier" },
  ...restOptions,
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
  const found = await withRest(context, async (rest) => {
    const pauses: Pause[] = [];
    let offset: string | undefined;
    do {
      const page = await rest.get("/pauses", { limit: "1000", offset, account, value });
      pauses.push(...(page["pauses"] as readonly Pause[]));
      offset = page["next"] as string | undefined;
    } while (offset !== undefined);
    return pauses;
  });
  if (values.json) for (const pause of found) stdout.write(`${JSON.stringify(pause)}\n`);
  else stdout.write(tableOf(["ACCOUNT", "IDENTIFIER", "FAILURES", "SINCE"], found.map(row)));
}

const row = ({ account, identifier: { type, value }, failures, pausedAt }: Pause): string[] => [
  account,
  `${type} ${value}`,
  String(failures),
  pausedAt,
];
