/** `mayfly quarantine lift`: an identity gets certificates again. */
import { type CommandContext, defineCommand } from "./command.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  id: { type: "string", value: "ID", required: true, description: "the quarantine, as quarantine list shows it" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "quarantine lift",
  summary: "issue to an identity again",
  usage: "--id ID [OPTION …]",
  description:
    "The identity gets certificates again, by the grants as they are. Where a clone was found, its agents show their platform's evidence first.",
  options,
  examples: [{ does: "when it has been looked into", command: "mayfly quarantine lift --id ID" }],
  run: lift,
});

async function lift(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const lifted = await withRest(context, (rest) => rest.delete(`/quarantines/${encodeURIComponent(values.id)}`));
  const { identity, liftedAt } = lifted as { identity: string; liftedAt: string };
  stdout.write(values.json ? `${JSON.stringify(lifted)}\n` : `Lifted at ${liftedAt}: ${identity}.\n`);
}
