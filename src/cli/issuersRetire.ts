/** `mayfly issuers retire`: end an issuer of which nothing counts any more, or one that is not wanted. */
import { type CommandContext, defineCommand } from "./command.ts";
import { described, idOptions, moveIssuer } from "./issuerOptions.ts";
import { withRest } from "./rest.ts";

const options = {
  force: { type: "boolean", description: "whatever still counts" },
  ...idOptions,
} as const;

export const command = defineCommand({
  name: "issuers retire",
  summary: "end an issuer of which nothing counts any more, or one that is not wanted",
  usage: "ID [OPTION …]",
  description:
    "One that is retiring is retired when its last certificate has ended, and those that were revoked count as well; this happens without a command. One that is only prepared or published is given up. With --force a retiring one is retired whatever counts, and the active one stops: its line issues nothing until another is active.",
  options,
  argument: "id",
  examples: [{ does: "give a prepared issuer up", command: "mayfly issuers retire ID" }],
  run: retire,
});

async function retire(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  await withRest(context, async (rest) => {
    const issuer = await moveIssuer(rest, values.id, "retire", { force: values.force });
    stdout.write(values.json ? `${JSON.stringify(issuer)}\n` : described(issuer));
  });
}
