/** `mayfly grants remove`: ends a grant of the database; it counts on no server any more. */
import { type CommandContext, defineCommand } from "./command.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  name: { type: "string", value: "NAME", required: true, description: "the grant" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "grants remove",
  summary: "end a grant of the database",
  usage: "--name NAME [OPTION …]",
  description:
    "From now on no certificate is issued on its word, on whatever server, also for orders that are under way. Certificates stay; its versions stay readable.",
  options,
  examples: [{ does: "end one", command: "mayfly grants remove --name build-agents" }],
  run: remove,
});

async function remove(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  await withRest(context, (rest) => rest.delete(`/grants/${encodeURIComponent(values.name)}`));
  stdout.write(
    values.json ? `${JSON.stringify({ name: values.name, removed: true })}\n` : `Removed: ${values.name}.\n`,
  );
}
