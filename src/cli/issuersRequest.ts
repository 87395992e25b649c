/** `mayfly issuers request`: the request of an issuer that waits for its certificate, for whoever signs it. */
import { type CommandContext, defineCommand } from "./command.ts";
import { asIssuer, idOptions } from "./issuerOptions.ts";
import { withRest } from "./rest.ts";

const options = idOptions;

export const command = defineCommand({
  name: "issuers request",
  summary: "print the request of an issuer that waits for its certificate",
  usage: "ID [OPTION …]",
  description:
    "Prints the PKCS #10 request in PEM. Have it certified where the root's key is, as a CA with path length 0, and bring the certificate in with issuers import.",
  options,
  argument: "id",
  examples: [{ does: "into a file", command: "mayfly issuers request ID > issuing.csr" }],
  run: request,
});

async function request(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  const issuer = await withRest(context, async (rest) =>
    asIssuer(await rest.get(`/issuers/${encodeURIComponent(values.id)}`)),
  );
  if (typeof issuer.requestPem !== "string")
    throw new Error("the issuer was made with its certificate, and has no request");
  stdout.write(values.json ? `${JSON.stringify({ requestPem: issuer.requestPem })}\n` : issuer.requestPem);
}
