/** Identifiers of the TPM's algorithms (TPM_ALG_ID, TCG Algorithm Registry) that are read here. */
import { TpmStructureError } from "./reader.ts";

/** TPM_ALG_*. */
export const algorithms = {
  rsa: 0x0001,
  sha1: 0x0004,
  aes: 0x0006,
  mgf1: 0x0007,
  sha256: 0x000b,
  sha384: 0x000c,
  sha512: 0x000d,
  null: 0x0010,
  rsassa: 0x0014,
  rsaes: 0x0015,
  rsapss: 0x0016,
  oaep: 0x0017,
  ecdsa: 0x0018,
  ecdh: 0x0019,
  kdf1Sp800Part56a: 0x0020,
  kdf2: 0x0021,
  kdf1Sp800Part108: 0x0022,
  ecc: 0x0023,
  cfb: 0x0043,
} as const;

/** Bytes of a digest, by the name that node:crypto has for the hash. */
export const digestBytes = { sha1: 20, sha256: 32, sha384: 48, sha512: 64 } as const;
export type TpmHash = keyof typeof digestBytes;

const hashes = new Map<number, TpmHash>(
  (["sha1", "sha256", "sha384", "sha512"] as const).map((name) => [algorithms[name], name]),
);

/** The hash that an identifier names. @throws {TpmStructureError} for any but SHA-1, SHA-256, SHA-384 and SHA-512 */
export function hashOf(algorithm: number, what: string): TpmHash {
  const hash = hashes.get(algorithm);
  if (hash === undefined) throw new TpmStructureError(`${what} is not SHA-1, SHA-256, SHA-384 or SHA-512`);
  return hash;
}
