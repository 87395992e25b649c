/** `mayfly revocations show`: one revocation, and since when each server shows it. */
import { type CommandContext, defineCommand } from "./command.ts";
import { restOptions, withRest } from "./rest.ts";
import { revocationText, type Revocation } from "./revocationText.ts";

const options = {
  id: { type: "string", value: "ID", required: true, description: "as revocations list shows it" },
  ...restOptions,
} as const;

export const command = defineCommand({
  name: "revocations show",
  summary: "show a revocation: who, what, why, and since when it is in effect on every server",
  usage: "ID [OPTION …]",
  description:
    "Prints how many certificates it revoked, in which lists they are published, since when each server process shows them, and when the last of them can still be accepted.",
  options,
  argument: "id",
  examples: [{ does: "one", command: "mayfly revocations show 019ac0de-0000-7000-8000-000000000000" }],
  run: show,
});

async function show(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const found = await withRest(context, (rest) => rest.get(`/revocations/${encodeURIComponent(values.id)}`));
  stdout.write(values.json ? `${JSON.stringify(found)}\n` : revocationText(found as unknown as Revocation));
}
