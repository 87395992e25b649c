/** `mayfly incident list`: the incidents, newest first. */
import { type CommandContext, defineCommand } from "./command.ts";
import { listOptions, tableOf, withRest } from "./rest.ts";

const options = {
  open: { type: "boolean", description: "only those that have not ended" },
  ...listOptions,
} as const;

export const command = defineCommand({
  name: "incident list",
  summary: "list incidents, newest first",
  usage: "[OPTION …]",
  description: "Prints the id, the time it was made, whether it is open, and the reason of each incident.",
  options,
  examples: [{ does: "those that are open", command: "mayfly incident list --open" }],
  run: list,
});

interface Incident {
  readonly id: string;
  readonly reason: string;
  readonly createdAt: string;
  readonly endedAt: string | null;
}

async function list(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const open = values.open ? "true" : undefined;
  const found = await withRest(context, (rest) => rest.list<Incident>("/incidents", "incidents", { open }));
  if (values.json) for (const incident of found) stdout.write(`${JSON.stringify(incident)}\n`);
  else stdout.write(tableOf(["ID", "MADE", "STATE", "REASON"], found.map(row)));
}

const row = ({ id, createdAt, endedAt, reason }: Incident): string[] => [
  id,
  createdAt,
  endedAt === null ? "open" : "ended",
  reason,
];
