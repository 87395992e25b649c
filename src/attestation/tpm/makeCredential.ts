/**
 * TPM2_MakeCredential in software (TPM 2.0 Library Part 1 §24, annexes B.10 and C.6): a secret that only the TPM with this endorsement key
 * can read, and only while it holds a key of this name (TPM2_ActivateCredential). Draws randomness.
 */
import {
  constants,
  createCipheriv,
  createHmac,
  diffieHellman,
  generateKeyPairSync,
  hash,
  publicEncrypt,
  randomBytes,
  type KeyObject,
} from "node:crypto";
import { digestBytes } from "./algorithms.ts";
import { sizedBuffer, TpmStructureError } from "./reader.ts";

/** Both as TPM2B, which is how TPM2_ActivateCredential takes them. */
export interface Credential {
  /** TPM2B_ID_OBJECT. */
  readonly credentialBlob: Buffer;
  /** TPM2B_ENCRYPTED_SECRET. */
  readonly encryptedSecret: Buffer;
}

/** How an endorsement key protects what is meant for its TPM. */
interface Protection {
  /** Of the endorsement key's name. */
  readonly hash: "sha256" | "sha384";
  readonly aesBits: 128 | 256;
}

/**
 * A certificate has not the public area of its key; the templates of TCG's EK Credential Profile (2.6, annex B.4: H-1 to H-3, H-6 and
 * H-7, of which L-1 and L-2 are the same here) have one protection for each kind of key.
 */
const rsaProtection = new Map<number, Protection>([
  [2048, { hash: "sha256", aesBits: 128 }],
  [3072, { hash: "sha384", aesBits: 256 }],
  [4096, { hash: "sha384", aesBits: 256 }],
]);
const eccProtection = new Map<string, Protection & { readonly bytes: number }>([
  ["prime256v1", { hash: "sha256", aesBits: 128, bytes: 32 }],
  ["secp384r1", { hash: "sha384", aesBits: 256, bytes: 48 }],
]);

/** Part 1 §11.4.10 and annexes B.10.4, C.6.4: labels end in a zero byte. */
const labels = { identity: "IDENTITY\0", storage: "STORAGE\0", integrity: "INTEGRITY\0" } as const;

/**
 * Wraps a secret for one key of one TPM.
 * @param endorsementKey - public key of an EK certificate
 * @param name - of the key that the TPM must hold beside it
 * @param secret - at most 32 bytes
 * @throws {TpmStructureError} when the endorsement key is of no kind that the templates have
 */
export function makeCredential(endorsementKey: KeyObject, name: Buffer, secret: Buffer): Credential {
  if (secret.length > digestBytes.sha256) throw new RangeError("A credential holds at most 32 bytes");
  const { protection, seed, encryptedSecret } = shareSeed(endorsementKey);
  const { hash: algorithm, aesBits } = protection;
  const symmetricKey = kdfa(algorithm, seed, labels.storage, name, aesBits);
  // A key is used once, so that the zero IV of Part 1 §24.4 repeats nothing.
  const cipher = createCipheriv(`aes-${aesBits}-cfb`, symmetricKey, Buffer.alloc(16));
  const identity = Buffer.concat([cipher.update(sizedBuffer(secret)), cipher.final()]);
  const hmacKey = kdfa(algorithm, seed, labels.integrity, Buffer.of(), digestBytes[algorithm] * 8);
  const integrity = createHmac(algorithm, hmacKey).update(identity).update(name).digest();
  return { credentialBlob: sizedBuffer(Buffer.concat([sizedBuffer(integrity), identity])), encryptedSecret };
}

interface SharedSeed {
  readonly protection: Protection;
  readonly seed: Buffer;
  /** TPM2B_ENCRYPTED_SECRET: how the TPM comes by the seed. */
  readonly encryptedSecret: Buffer;
}

function shareSeed(endorsementKey: KeyObject): SharedSeed {
  const { modulusLength = 0, namedCurve = "" } = endorsementKey.asymmetricKeyDetails ?? {};
  const rsa = endorsementKey.asymmetricKeyType === "rsa" ? rsaProtection.get(modulusLength) : undefined;
  if (rsa !== undefined) return encryptSeed(endorsementKey, rsa);
  const ecc = endorsementKey.asymmetricKeyType === "ec" ? eccProtection.get(namedCurve) : undefined;
  if (ecc !== undefined) return agreeOnSeed(endorsementKey, namedCurve, ecc);
  throw new TpmStructureError("The endorsement key is not RSA of 2048, 3072 or 4096 bits, P-256 or P-384");
}

/** Annex B.10.4: OAEP with the hash of the endorsement key's name. */
function encryptSeed(key: KeyObject, protection: Protection): SharedSeed {
  const seed = randomBytes(digestBytes[protection.hash]);
  const oaep = { oaepHash: protection.hash, oaepLabel: Buffer.from(labels.identity, "latin1") };
  const encrypted = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, ...oaep }, seed);
  return { protection, seed, encryptedSecret: sizedBuffer(encrypted) };
}

/** Annex C.6.4: one-pass ECDH. */
function agreeOnSeed(
  publicKey: KeyObject,
  namedCurve: string,
  protection: Protection & { readonly bytes: number },
): SharedSeed {
  const ephemeral = generateKeyPairSync("ec", { namedCurve });
  const shared = diffieHellman({ privateKey: ephemeral.privateKey, publicKey });
  const ours = pointOf(ephemeral.publicKey, protection.bytes);
  const theirs = pointOf(publicKey, protection.bytes);
  const seed = kdfe(protection.hash, shared, labels.identity, ours.x, theirs.x);
  return { protection, seed, encryptedSecret: sizedBuffer(Buffer.concat([sizedBuffer(ours.x), sizedBuffer(ours.y)])) };
}

function pointOf(publicKey: KeyObject, bytes: number): { x: Buffer; y: Buffer } {
  const point = publicKey.export({ type: "spki", format: "der" }).subarray(-2 * bytes);
  return { x: point.subarray(0, bytes), y: point.subarray(bytes) };
}

/** KDFa (Part 1 §11.4.10.2): SP 800-108 in counter mode with HMAC. As many bits as two rounds have are never needed. */
function kdfa(algorithm: Protection["hash"], key: Buffer, label: string, context: Buffer, bits: number): Buffer {
  const hmac = createHmac(algorithm, key)
    .update(uint32(1))
    .update(label, "latin1")
    .update(context)
    .update(uint32(bits));
  return hmac.digest().subarray(0, bits / 8);
}

/** KDFe (Part 1 §11.4.10.3): SP 800-56A, one round for as many bits as the hash has. */
function kdfe(algorithm: Protection["hash"], shared: Buffer, label: string, partyU: Buffer, partyV: Buffer): Buffer {
  const input = Buffer.concat([uint32(1), shared, Buffer.from(label, "latin1"), partyU, partyV]);
  return hash(algorithm, input, "buffer");
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
