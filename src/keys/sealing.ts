/**
 * Secrets that must lie in the database, sealed with a key from a file beside it (AES-256-GCM, NIST SP 800-38D). Servers that share a
 * database share the file.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import { createSecretFile, fileErrorCode, readSecretFile } from "./secretFile.ts";

const cipher = "aes-256-gcm";
const keyOctets = 32;
const nonceOctets = 12;
const tagOctets = 16;
/** A sealed secret begins with a mark of the key that opens it: the beginning of the key's hash. */
const markOctets = 4;
const fileBytesMax = 1024;

export interface Sealing {
  /** What each secret begins with that this key has sealed. */
  readonly mark: Buffer;
  /** @param context what the secret belongs to; it opens with the same one only */
  seal(secret: Buffer, context: string): Buffer;
  /** @throws {Error} when it was sealed with another key, for another context, or has been changed; never quotes the secret */
  open(sealed: Buffer, context: string): Buffer;
}

/**
 * Opens the sealing key's file, or makes one with 256 random bits (mode 0600).
 * @throws {Error} when the file is open to others or holds no key
 */
export async function openSealing(file: string): Promise<Sealing> {
  const key = await readOrMakeKey(file, "sealing key file");
  const mark = createHash("sha256").update(key).digest().subarray(0, markOctets);
  return {
    mark,
    seal(secret, context) {
      const nonce = randomBytes(nonceOctets);
      const sealer = createCipheriv(cipher, key, nonce, { authTagLength: tagOctets }).setAAD(Buffer.from(context));
      return Buffer.concat([mark, nonce, sealer.update(secret), sealer.final(), sealer.getAuthTag()]);
    },
    open(sealed, context) {
      if (!sealed.subarray(0, markOctets).equals(mark))
        throw new Error(`a secret in the database was not sealed with the key in ${file}`);
      const nonce = sealed.subarray(markOctets, markOctets + nonceOctets);
      const opener = createDecipheriv(cipher, key, nonce, { authTagLength: tagOctets }).setAAD(Buffer.from(context));
      opener.setAuthTag(sealed.subarray(-tagOctets));
      return Buffer.concat([opener.update(sealed.subarray(markOctets + nonceOctets, -tagOctets)), opener.final()]);
    },
  };
}

/**
 * The 256 bits of a key's file, made (mode 0600) where there is none.
 * @param what - names the file in messages, for example "sealing key file"
 * @throws {Error} when the file is open to others or holds no key
 */
export async function readOrMakeKey(file: string, what: string): Promise<Buffer> {
  const there = await readKey(file, what);
  if (there !== undefined) return there;
  await createSecretFile(file, `${randomBytes(keyOctets).toString("base64url")}\n`).catch((error: unknown) => {
    // Another server was first: its key is as good as ours.
    if (fileErrorCode(error) !== "EEXIST")
      throw new Error(`cannot make the ${what} ${file}: ${fileErrorCode(error) ?? "unknown error"}`);
  });
  const made = await readKey(file, what);
  if (made === undefined) throw new Error(`the ${what} ${file} vanished while it was opened`);
  return made;
}

async function readKey(file: string, what: string): Promise<Buffer | undefined> {
  const text = (await readSecretFile(file, what, fileBytesMax))?.trim();
  if (text === undefined) return undefined;
  const key = Buffer.from(text, "base64url");
  if (key.length !== keyOctets || key.toString("base64url") !== text)
    throw new Error(`the ${what} ${file} does not hold ${keyOctets} octets as base64url`);
  return key;
}
