/** `mayfly incident list`: the incidents, newest first. */
import { type CommandContext, defineCommand } from "./command.ts";
import { restOptions, tableOf, withRest } from "./rest.ts";

const options = {
  open: { type: "boolean", description: "only those that have not ended" },
  ...restOptions,
  json: { type: "boolean", description: "print them as JSON, one in a line" },
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
  const found = await withRest(context, async (rest) => {
    const incidents: Incident[] = [];
    let cursor: string | undefined;
    do {
      const page = await rest.get("/incidents", { limit: "1000", cursor, open: values.open ? "true" : undefined });
      incidents.push(...(page["incidents"] as Incident[]));
      cursor = page["next"] as string | undefined;
    } while (cursor !== undefined);
    return incidents;
  });
  if (values.json) for (const incident of found) stdout.write(`${JSON.stringify(incident)}\n`);
  else stdout.write(tableOf(["ID", "MADE", "STATE", "REASON"], found.map(row)));
}

const row = ({ id, createdAt, endedAt, reason }: Incident): string[] => [
  id,
  createdAt,
  endedAt === null ? "open" : "ended",
  reason,
];
