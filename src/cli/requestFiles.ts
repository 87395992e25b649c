/** What `mayfly request` reads beside evidence: the root, the account's key, a delegation. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecretFile, fileErrorCode, readSecretFile } from "../keys/secretFile.ts";
import { readSource } from "./evidenceOption.ts";

/** The token in a file. */
export async function readDelegationFile(path: string): Promise<string> {
  const token = (await readSource(path, "delegation")).trim();
  if (token === "") throw new Error(`the delegation file ${path} is empty`);
  return token;
}

/** PEM of what the server's certificates lead to. */
export async function readRoot(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(
      `the root certificate ${path} cannot be read (${fileErrorCode(error)}); --root FILE names another`,
      {
        cause: error,
      },
    );
  }
}

/** The key in the file, or a new one that is then in the file. */
export async function openAccountKey(path: string): Promise<KeyObject> {
  const pem = (await readAccountKey(path)) ?? (await createAccountKey(path));
  try {
    return createPrivateKey(pem);
  } catch {
    // Without the cause: it may quote what the file holds.
    throw new Error(`the account key ${path} is not an unencrypted private key in PEM`);
  }
}

/** Never replaces a key: of two processes that come here at once, both go on with the first's. */
async function createAccountKey(path: string): Promise<string> {
  const pem = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ type: "pkcs8", format: "pem" });
  try {
    await createSecretFile(path, pem.toString());
    return pem.toString();
  } catch (error) {
    const first = fileErrorCode(error) === "EEXIST" ? await readAccountKey(path) : undefined;
    if (first !== undefined) return first;
    throw new Error(`the account key ${path} cannot be written (${fileErrorCode(error)})`, { cause: error });
  }
}

function readAccountKey(path: string): Promise<string | undefined> {
  return readSecretFile(path, "account key", 16_384);
}
