/**
 * Public keys that others certify (platforms, makers of hardware, their CAs), and signatures of certificates by them. Which keys may be in a
 * certificate of ours is another question, see `x509/publicKey.ts`.
 */
import { constants, createPublicKey, type KeyObject, verify } from "node:crypto";
import {
  contentOf,
  DerError,
  type DerElement,
  membersOf,
  octetAlignedBitsOf,
  oidOf,
  readDer,
  smallIntegerOf,
  tags,
} from "../x509/der.ts";
import { oids } from "../x509/oid.ts";
import { EvidenceRefused } from "./evidence.ts";

const rsaBitsMin = 2048;
const rsaBitsMax = 8192;
/** 65537 and 3 are what there is; a long exponent would make a verification as slow as a signature. */
const rsaExponentBytesMax = 4;
const curves: readonly string[] = [oids.prime256v1, oids.secp384r1, oids.secp521r1];

/**
 * The key in a DER SubjectPublicKeyInfo: RSA of 2048 to 8192 bits with an exponent of at most 32, P-256, P-384 or P-521 by name, Ed25519. Sizes
 * are read from the DER, so that no key that is too large reaches OpenSSL.
 * @param what whose key it is, as the subject of the refusal's sentence: "A certificate's key"
 * @throws {EvidenceRefused} evidenceMalformed, or evidenceInvalid for a key that is not taken
 */
export function readVerificationKey(spki: Buffer, what: string): KeyObject {
  requireVerificationKey(spki, what);
  try {
    return createPublicKey({ key: spki, format: "der", type: "spki" });
  } catch {
    throw malformed(what);
  }
}

/**
 * Kind and size alone, from the DER: what makes the key cheap to read and to verify with.
 * @throws {EvidenceRefused} as `readVerificationKey` does
 */
export function requireVerificationKey(spki: Buffer, what: string): void {
  try {
    const [algorithm, value] = membersOf(readDer(spki), tags.sequence, what);
    const [type, parameters] = membersOf(algorithm, tags.sequence, what);
    requireStrength(oidOf(type, what), parameters, octetAlignedBitsOf(value, what), what);
  } catch (error) {
    if (error instanceof DerError) throw malformed(what);
    throw error;
  }
}

function malformed(what: string): EvidenceRefused {
  return new EvidenceRefused("evidenceMalformed", `${what} is malformed`);
}

function requireStrength(type: string, parameters: DerElement | undefined, key: Buffer, what: string): void {
  if (type === oids.ed25519) return;
  if (type === oids.ecPublicKey) {
    // Parameters in place of a name are no OBJECT IDENTIFIER: CVE-2020-0601 and CVE-2022-0778 lived there.
    if (!curves.includes(oidOf(parameters, what))) {
      throw new EvidenceRefused("evidenceInvalid", `${what} is on a curve other than P-256, P-384 and P-521`);
    }
    return;
  }
  if (type !== oids.rsaEncryption)
    throw new EvidenceRefused("evidenceInvalid", `${what} is neither RSA, ECDSA nor Ed25519`);
  const [modulus, exponent] = membersOf(readDer(key), tags.sequence, what).map((part) =>
    contentOf(part, tags.integer, what),
  );
  if (modulus === undefined || exponent === undefined) throw new DerError(`${what} has no modulus and exponent`);
  const bits = bitLength(modulus);
  if (bits < rsaBitsMin || bits > rsaBitsMax) {
    throw new EvidenceRefused(
      "evidenceInvalid",
      `${what} is RSA of fewer than ${rsaBitsMin} or more than ${rsaBitsMax} bits`,
    );
  }
  const last = exponent.at(-1) ?? 0;
  if (bitLength(exponent) > 8 * rsaExponentBytesMax || bitLength(exponent) < 2 || last % 2 === 0) {
    throw new EvidenceRefused(
      "evidenceInvalid",
      `${what} is RSA with an exponent that is not an odd number from 3 to 2^32 - 1`,
    );
  }
}

/** Of the content of an INTEGER; 0 for a negative one. */
function bitLength(integer: Buffer): number {
  const magnitude = integer[0] === 0 ? integer.subarray(1) : integer;
  if (integer.readInt8(0) < 0 || magnitude.length === 0) return 0;
  return magnitude.length * 8 - Math.clz32(magnitude[0] ?? 0) + 24;
}

type Hash = "sha256" | "sha384" | "sha512";

interface Scheme {
  readonly keyType: "ec" | "rsa" | "ed25519";
  /** Null where the algorithm hashes by itself. */
  readonly hash: Hash | null;
  /** Of RSASSA-PSS alone. */
  readonly saltLength?: number;
}

/** No MD5, no SHA-1: who can make two certificates of one digest needs no CA. */
const schemes: ReadonlyMap<string, Scheme> = new Map<string, Scheme>([
  [oids.ecdsaWithSHA256, { keyType: "ec", hash: "sha256" }],
  [oids.ecdsaWithSHA384, { keyType: "ec", hash: "sha384" }],
  [oids.ecdsaWithSHA512, { keyType: "ec", hash: "sha512" }],
  [oids.sha256WithRSAEncryption, { keyType: "rsa", hash: "sha256" }],
  [oids.sha384WithRSAEncryption, { keyType: "rsa", hash: "sha384" }],
  [oids.sha512WithRSAEncryption, { keyType: "rsa", hash: "sha512" }],
  [oids.ed25519, { keyType: "ed25519", hash: null }],
]);
const hashes: ReadonlyMap<string, Hash> = new Map<string, Hash>([
  [oids.sha256, "sha256"],
  [oids.sha384, "sha384"],
  [oids.sha512, "sha512"],
]);

/**
 * True when `signature` is `publicKey`'s over `message`, by the algorithm that a DER AlgorithmIdentifier names. False too for an algorithm that
 * is not taken, SHA-1 with anything above all, and for a key of another type.
 */
export function verifyForeignSignature(
  identifier: Buffer,
  publicKey: KeyObject,
  message: Buffer,
  signature: Buffer,
): boolean {
  const scheme = schemeOf(identifier);
  if (scheme === undefined || publicKey.asymmetricKeyType !== scheme.keyType) return false;
  const { hash, saltLength } = scheme;
  if (saltLength === undefined) return verify(hash, message, publicKey, signature);
  return verify(hash, message, { key: publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength }, signature);
}

function schemeOf(identifier: Buffer): Scheme | undefined {
  try {
    const [type, parameters] = membersOf(readDer(identifier), tags.sequence, "The algorithm");
    const name = oidOf(type, "The algorithm");
    return name === oids.rsassaPss ? pssSchemeOf(parameters) : schemes.get(name);
  } catch (error) {
    if (error instanceof DerError) return undefined;
    throw error;
  }
}

/** RFC 4055 §3.1: hash [0], mask generation [1] by MGF1 with the same hash, salt length [2], trailer [3]. Left out they would mean SHA-1. */
function pssSchemeOf(parameters: DerElement | undefined): Scheme | undefined {
  const [hashPart, maskPart, saltPart, trailerPart, ...more] = membersOf(parameters, tags.sequence, "The parameters");
  if (more.length > 0) return undefined;
  const hash = hashes.get(algorithmIn(explicit(hashPart, 0)).name);
  const mask = algorithmIn(explicit(maskPart, 1));
  const maskHash = hashes.get(algorithmIn(mask.parameters).name);
  const trailer = trailerPart === undefined ? 1 : smallIntegerOf(explicit(trailerPart, 3), "The trailer");
  if (hash === undefined || mask.name !== oids.mgf1 || maskHash !== hash || trailer !== 1) return undefined;
  return { keyType: "rsa", hash, saltLength: smallIntegerOf(explicit(saltPart, 2), "The salt's length") };
}

function explicit(element: DerElement | undefined, number: number): DerElement | undefined {
  return membersOf(element, 0xa0 | number, "A parameter")[0];
}

function algorithmIn(element: DerElement | undefined): {
  readonly name: string;
  readonly parameters: DerElement | undefined;
} {
  const [type, parameters] = membersOf(element, tags.sequence, "An algorithm");
  return { name: oidOf(type, "An algorithm"), parameters };
}
