/** `mayfly issuers show`: one issuer, with its certificate. */
import { type CommandContext, defineCommand } from "./command.ts";
import { asIssuer, described, idOptions } from "./issuerOptions.ts";
import { withRest } from "./rest.ts";

const options = idOptions;

export const command = defineCommand({
  name: "issuers show",
  summary: "show a root or issuing CA, with its certificate",
  usage: "ID [OPTION …]",
  description:
    "Prints state, end, fingerprint, how many certificates of it are in force, its next move, and its certificate.",
  options,
  argument: "id",
  examples: [{ does: "one of those that issuers list shows", command: "mayfly issuers show ID" }],
  run: show,
});

async function show(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const issuer = await withRest(context, async (rest) =>
    asIssuer(await rest.get(`/issuers/${encodeURIComponent(values.id)}`)),
  );
  stdout.write(values.json ? `${JSON.stringify(issuer)}\n` : `${described(issuer)}${issuer.certificatePem ?? ""}`);
}
