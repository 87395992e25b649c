/** `mayfly issuers activate`: let an issuer sign from now on, in place of the one before. */
import { type CommandContext, defineCommand } from "./command.ts";
import { described, idOptions, moveIssuer } from "./issuerOptions.ts";
import { withRest } from "./rest.ts";

const options = {
  force: {
    type: "boolean",
    description: "activate it however short it has been published, and also where it is only prepared",
  },
  ...idOptions,
} as const;

export const command = defineCommand({
  name: "issuers activate",
  summary: "let an issuer sign from now on, in place of the one before",
  usage: "ID [OPTION …]",
  description:
    "The issuer that was active is retiring from then on: its certificates still count, and nothing new is signed by it. All servers follow within two seconds. What has not been published for as long as configuration wants is refused without --force.",
  options,
  argument: "id",
  examples: [{ does: "earlier than planned", command: "mayfly issuers activate ID" }],
  run: activate,
});

async function activate(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  await withRest(context, async (rest) => {
    const issuer = await moveIssuer(rest, values.id, "activate", { force: values.force });
    stdout.write(values.json ? `${JSON.stringify(issuer)}\n` : described(issuer));
  });
}
