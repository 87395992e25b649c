/** `mayfly incident end`: the certificates of an incident have ordinary renewal windows again. */
import { type CommandContext, defineCommand } from "./command.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  id: { type: "string", value: "ID", required: true, description: "the incident, as incident list shows it" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "incident end",
  summary: "end an incident",
  usage: "--id ID [OPTION …]",
  description: "Certificates that the incident covers have their ordinary renewal windows again. It stays in the list.",
  options,
  examples: [{ does: "when all has been replaced", command: "mayfly incident end --id ID" }],
  run: end,
});

async function end(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  await withRest(context, async (rest) => {
    const incident = await rest.post(`/incidents/${encodeURIComponent(values.id)}/end`);
    stdout.write(
      values.json
        ? `${JSON.stringify(incident)}\n`
        : `Incident ${values.id} ended at ${String(incident["endedAt"])}.\n`,
    );
  });
}
