/** `mayfly issuers publish`: make a prepared issuer known, before it issues. */
import { type CommandContext, defineCommand } from "./command.ts";
import { described, idOptions, moveIssuer } from "./issuerOptions.ts";
import { withRest } from "./rest.ts";

const options = {
  ...idOptions,
} as const;

export const command = defineCommand({
  name: "issuers publish",
  summary: "make a prepared issuer known, before it issues",
  usage: "ID [OPTION …]",
  description:
    "A root that is published is in the bundle and in root.pem; nothing is signed by it yet. In lines that move by themselves this happens without a command.",
  options,
  argument: "id",
  examples: [{ does: "the next issuing CA", command: "mayfly issuers publish ID" }],
  run: publish,
});

async function publish(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  await withRest(context, async (rest) => {
    const issuer = await moveIssuer(rest, values.id, "publish");
    stdout.write(values.json ? `${JSON.stringify(issuer)}\n` : described(issuer));
  });
}
