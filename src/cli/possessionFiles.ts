/** A certificate and its key in PEM files, as evidence of possession. The key is used here and goes nowhere. */
import { createPrivateKey, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { possessionProof } from "../client/possession.ts";
import { readSecretFile } from "../keys/secretFile.ts";

const keyBytesMax = 16_384;

/**
 * What makes proofs for one challenge after the other.
 * @throws {Error} for a file that cannot be read · {ClientError} evidence, where the two do not belong together
 */
export async function readPossession(
  certificateFile: string,
  keyFile: string,
): Promise<ReturnType<typeof possessionProof>> {
  const certificatePem = await readFile(certificateFile, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new Error(`the certificate ${certificateFile} cannot be read (${error.code})`, { cause: error });
  });
  const keyPem = await readSecretFile(keyFile, "certificate's key", keyBytesMax);
  if (keyPem === undefined) throw new Error(`the certificate's key ${keyFile} is not there`);
  return possessionProof({ certificatePem, privateKey: readKey(keyPem, keyFile) });
}

function readKey(pem: string, file: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    // Without the cause: it may quote what the file holds.
    throw new Error(`the certificate's key ${file} is not an unencrypted private key in PEM`);
  }
}
