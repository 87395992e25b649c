/** `mayfly issuers import`: the certificate that came for an issuer which waits for it. */
import { readFile } from "node:fs/promises";

import { type CommandContext, defineCommand } from "./command.ts";
import { described, idOptions, moveIssuer, type ShownIssuer } from "./issuerOptions.ts";
import { withRest } from "./rest.ts";

const options = {
  certificate: {
    type: "string",
    value: "FILE",
    required: true,
    description: "PEM: the certificate, then each CA above it; the root may be the last",
  },
  "root-certificate": {
    type: "string",
    value: "FILE",
    description: "PEM of the root, where it is not in the other file",
  },
  "any-subject": { type: "boolean", description: "take another subject than the one that was asked for" },
  ...idOptions,
} as const;

export const command = defineCommand({
  name: "issuers import",
  summary: "bring in the certificate that an issuer waits for",
  usage: "ID --certificate FILE [OPTION …]",
  description:
    "The certificate is looked at in full, and taken or refused with every reason. What is taken is published and becomes active as planned.",
  options,
  argument: "id",
  examples: [
    {
      does: "what the offline root signed",
      command: "mayfly issuers import ID --certificate issuing.pem --root-certificate root.pem",
    },
  ],
  run: bringIn,
});

async function bringIn(context: CommandContext<typeof options>): Promise<void> {
  const { values, stdout, stderr } = context;
  const rootFile = values["root-certificate"];
  const body = {
    certificatePem: await pemFile("--certificate", values.certificate),
    ...(rootFile !== undefined && { rootPem: await pemFile("--root-certificate", rootFile) }),
    anySubject: values["any-subject"],
  };
  await withRest(context, async (rest) => {
    const issuer = (await moveIssuer(rest, values.id, "certificate", body)) as ShownIssuer & {
      warnings: readonly string[];
    };
    for (const warning of issuer.warnings) stderr.write(`! ${warning}\n`);
    stdout.write(values.json ? `${JSON.stringify(issuer)}\n` : described(issuer));
  });
}

async function pemFile(option: string, file: string): Promise<string> {
  return await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      `${option}: ${file} ${error.code === "ENOENT" ? "is not there" : `cannot be read: ${error.message}`}`,
    );
  });
}
