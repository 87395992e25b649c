/** `mayfly issuers prepare`: makes the next issuer of a line. */
import { type CommandContext, defineCommand } from "./command.ts";
import { asIssuer, described, lineOptions } from "./issuerOptions.ts";
import { withRest } from "./rest.ts";

const options = lineOptions;

export const command = defineCommand({
  name: "issuers prepare",
  summary: "make the next issuer of a line, earlier than planned",
  usage: "[--line NAME] [OPTION …]",
  description:
    "Makes the key in the token, and the certificate where the root's key is there too; otherwise a request for it, which issuers request prints. In lines that move by themselves this happens in time without a command, and what is made goes on as planned.",
  options,
  examples: [
    { does: "the next issuing CA", command: "mayfly issuers prepare" },
    { does: "the next root", command: "mayfly issuers prepare --kind root" },
  ],
  run: prepare,
});

async function prepare(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout } = context;
  await withRest(context, async (rest) => {
    const issuer = asIssuer(await rest.post("/issuers", { kind: values.kind, name: values.line }));
    stdout.write(values.json ? `${JSON.stringify(issuer)}\n` : described(issuer));
  });
}
