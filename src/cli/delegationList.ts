/** `mayfly delegation list`: what has been ended and not resumed. */
import { type CommandContext, defineCommand } from "./command.ts";
import { listOptions, tableOf, withRest } from "./rest.ts";

export const command = defineCommand({
  name: "delegation list",
  summary: "list the tasks and delegators that have been ended",
  usage: "[OPTION …]",
  description:
    "Prints kind, source, when it was ended, the pseudonym and the reason of what was ended and not resumed. Names are not kept: the reason that was given says whose it is.",
  options: listOptions,
  examples: [{ does: "all of them", command: "mayfly delegation list" }],
  run: list,
});

interface Ended {
  readonly kind: string;
  readonly source: string;
  readonly pseudonym: string;
  readonly reason: string;
  readonly endedAt: string;
}

async function list(context: CommandContext<typeof listOptions>): Promise<void> {
  const { values, stdout } = context;
  const found = await withRest(context, (rest) => rest.list<Ended>("/delegations", "delegations"));
  if (values.json) for (const ended of found) stdout.write(`${JSON.stringify(ended)}\n`);
  else stdout.write(tableOf(["KIND", "SOURCE", "ENDED", "PSEUDONYM", "REASON"], found.map(row)));
}

const row = ({ kind, source, pseudonym, reason, endedAt }: Ended): string[] => [
  kind,
  source,
  endedAt,
  pseudonym,
  reason,
];
