/** `mayfly init`: makes keys, CA certificates and schema without starting a server. */
import { X509Certificate } from "node:crypto";

import { defineCommand, UsageError, type CommandContext } from "./command.ts";
import { configOption } from "./configurationOption.ts";

const options = {
  ...configOption,
  pkcs11: {
    type: "string",
    value: "MODULE",
    env: "MAYFLY_PKCS11_MODULE",
    description: "generate the keys in a token, through this PKCS#11 module",
  },
  token: { type: "string", value: "LABEL", env: "MAYFLY_PKCS11_TOKEN", description: "label of the token" },
  "pin-file": {
    type: "string",
    value: "FILE",
    env: "MAYFLY_PKCS11_PIN_FILE",
    description: "file of the user PIN, mode 0600",
  },
  key: {
    type: "string",
    value: "LABEL",
    env: "MAYFLY_PKCS11_KEY",
    description: "label of the issuing key; the root's is this with -root behind it",
  },
} as const;

export const command = defineCommand({
  name: "init",
  summary: "create the root and issuing CA, in a token or as development key files",
  usage: "[--config FILE] [--pkcs11 MODULE --token LABEL --pin-file FILE]",
  description:
    "Brings the database schema up to date and makes root and issuing CA, with keys generated inside the token and not extractable, or as encrypted development key files. Where the database has a CA already, it says so and changes nothing. `serve` needs the same settings afterwards, from the configuration file or the environment.",
  options,
  examples: [
    {
      does: "with SoftHSM2",
      command: "mayfly init --pkcs11 /usr/lib/softhsm/libsofthsm2.so --token mayfly --pin-file pin.txt",
    },
  ],
  run: init,
});

async function init({ values, env, stdout }: CommandContext<typeof options>): Promise<void> {
  const { pkcs11, token, key } = values;
  const pinFile = values["pin-file"];
  if (pkcs11 === undefined && (token ?? pinFile) !== undefined)
    throw new UsageError("init needs --pkcs11 MODULE where --token or --pin-file is given");
  const { loadConfiguration } = await import("../config/load.ts");
  const { openFoundation, rootFileOf } = await import("../foundation.ts");
  const configuration = loadConfiguration(values.config, {
    ...env,
    MAYFLY_PKCS11_MODULE: pkcs11,
    MAYFLY_PKCS11_TOKEN: token,
    MAYFLY_PKCS11_PIN_FILE: pinFile,
    MAYFLY_PKCS11_KEY: key,
  });
  const foundation = await openFoundation(configuration, () => new Date(), "visitor");
  try {
    const { issuers, keys, firstStart } = foundation;
    const describe = (der: Buffer): string => {
      const certificate = new X509Certificate(der);
      return `${certificate.subject.replaceAll("\n", ", ")}\n    until   ${certificate.validToDate.toISOString()}\n    SHA-256 ${certificate.fingerprint256}\n`;
    };
    stdout.write(firstStart ? "Made a new CA.\n" : "The database has a CA already; nothing was changed.\n");
    stdout.write(`  keys      ${keys.description}\n`);
    for (const { certificate } of issuers.roots()) stdout.write(`  root      ${describe(certificate)}`);
    for (const { certificate } of issuers.all()) stdout.write(`  issuing   ${describe(certificate)}`);
    stdout.write(`  root file ${rootFileOf(configuration)}\n`);
  } finally {
    await foundation.close();
  }
}
