/** A public key on the command line: by its digest, or by a PEM file. */
import { createHash, createPublicKey } from "node:crypto";
import { readFile } from "node:fs/promises";

import { type CommandOptions, UsageError } from "./command.ts";

/** The options that name one key. */
export const keyOptions = {
  "spki-sha256": { type: "string", value: "HEX", description: "SHA-256 of the key's SubjectPublicKeyInfo" },
  file: { type: "string", value: "FILE", description: "PEM of the key, or of a certificate with it, instead" },
} as const satisfies CommandOptions;

/** The digest, hexadecimal. @throws {UsageError} unless exactly one of the options is given · {Error} for an unreadable file */
export async function keyDigest(values: {
  readonly "spki-sha256": string | undefined;
  readonly file: string | undefined;
}): Promise<string> {
  const { file } = values;
  const digest = values["spki-sha256"];
  if ((digest === undefined) === (file === undefined))
    throw new UsageError("the key is named by one of --spki-sha256 and --file");
  if (file === undefined) return digest ?? "";
  const pem = await readFile(file, "utf8").catch((error: unknown) => {
    const reason = (error as NodeJS.ErrnoException).code === "ENOENT" ? "is not there" : "cannot be read";
    throw new Error(`the file ${file} ${reason}`, { cause: error });
  });
  try {
    const spki = createPublicKey(pem).export({ type: "spki", format: "der" });
    return createHash("sha256").update(spki).digest("hex");
  } catch (error) {
    throw new Error(`${file} holds no public key in PEM`, { cause: error });
  }
}
