/** `mayfly revocations resume`: what was suspended may issue again. */
import { type CommandContext, defineCommand } from "./command.ts";
import { restOptions, withRest } from "./rest.ts";

const options = {
  id: { type: "string", value: "ID", required: true, description: "of the suspension" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "revocations resume",
  summary: "issue again by a grant, a source or an issuer that a revocation has suspended",
  usage: "ID [OPTION …]",
  description:
    "What is revoked stays revoked. Quarantines, blocked keys and ended delegations have commands of their own; an account that was revoked stays so.",
  options,
  argument: "id",
  examples: [{ does: "one", command: "mayfly revocations resume 019ac0de-0000-7000-8000-000000000000" }],
  run: resume,
});

async function resume(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const lifted = await withRest(context, (rest) => rest.delete(`/suspensions/${encodeURIComponent(values.id)}`));
  const { kind, subject, liftedAt } = lifted as { kind: string; subject: string; liftedAt: string };
  stdout.write(values.json ? `${JSON.stringify(lifted)}\n` : `Lifted at ${liftedAt}: ${kind} ${subject}.\n`);
}
