/**
 * Pseudonyms of names that must not lie in the database: keyed hashes (HMAC-SHA-256, RFC 2104). The key is in a file, so that whoever has
 * the database alone cannot try names against them.
 */
import { createHash, createHmac, createSecretKey } from "node:crypto";
import { readOrMakeKey } from "./sealing.ts";

/** A pseudonym begins with a mark of its key, the beginning of the key's hash: one made with another key is known as such. */
const markOctets = 4;

export interface Pseudonyms {
  readonly mark: Buffer;
  /** @param parts - what is named, each part closed off from the next; 36 octets */
  of(...parts: readonly string[]): Buffer;
}

/**
 * Opens the key's file, or makes one with 256 random bits (mode 0600).
 * @throws {Error} when the file is open to others or holds no key
 */
export async function openPseudonyms(file: string): Promise<Pseudonyms> {
  const octets = await readOrMakeKey(file, "pseudonym key file");
  const mark = createHash("sha256").update(octets).digest().subarray(0, markOctets);
  const key = createSecretKey(octets);
  return {
    mark,
    of: (...parts) => Buffer.concat([mark, createHmac("sha256", key).update(JSON.stringify(parts)).digest()]),
  };
}
