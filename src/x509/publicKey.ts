/**
 * Public keys (SubjectPublicKeyInfo, RFC 5280 §4.1.2.7) and which of them are acceptable, for accounts and certificates alike.
 */
import { createPublicKey, hash, type KeyObject } from "node:crypto";
import { DerError, type DerElement, contentOf, membersOf, octetAlignedBitsOf, oidOf, readDer, tags } from "./der.ts";
import { edwardsPointWeakness } from "./edwardsPoint.ts";
import { oids } from "./oid.ts";
import { modulusWeakness } from "./rsaModulus.ts";
import { isOnCurve } from "./weierstrassPoint.ts";

/** The key is malformed, of a kind or size that is not taken, or weak. The message is a sentence fit for a client. */
export class KeyRefused extends Error {
  override readonly name = "KeyRefused";
}

/** An acceptable public key. */
export interface PublicKey {
  readonly kind: "ec-p256" | "ec-p384" | "rsa" | "ed25519";
  /** Size of the modulus, or of the curve's field (256 for Ed25519). */
  readonly bits: number;
  /** DER SubjectPublicKeyInfo, in the one encoding there is for this key; a copy. */
  readonly spki: Buffer;
  /** SHA-256 of `spki`. */
  readonly sha256: Buffer;
  readonly key: KeyObject;
}

type Shape = Pick<PublicKey, "kind" | "bits">;

/**
 * Reads a DER SubjectPublicKeyInfo: P-256 and P-384 by name with uncompressed points, RSA of 2048 to 4096 bits with exponent 65537,
 * Ed25519.
 * @throws {KeyRefused}
 */
export function readPublicKey(spki: Uint8Array): PublicKey {
  const copy = Buffer.from(spki);
  const shape = readShape(copy);
  let key: KeyObject | undefined;
  return {
    ...shape,
    spki: copy,
    sha256: hash("sha256", copy, "buffer"),
    /** Only who verifies a signature needs OpenSSL's form of it, which costs more than all checks together. */
    get key() {
      return (key ??= importKey(copy));
    },
  };
}

/**
 * The same for a key that node:crypto already holds; of a private key, its public half.
 * @throws {KeyRefused}
 */
export function keyOf(keyObject: KeyObject): PublicKey {
  if (keyObject.type === "secret") throw new KeyRefused("A secret key is not a public key");
  const publicKey = keyObject.type === "private" ? createPublicKey(keyObject) : keyObject;
  return readPublicKey(publicKey.export({ type: "spki", format: "der" }));
}

function readShape(spki: Buffer): Shape {
  try {
    const info = membersOf(readDer(spki), tags.sequence, "The public key");
    if (info.length !== 2) throw new KeyRefused("The public key has not two members");
    const algorithm = membersOf(info[0], tags.sequence, "The public key's algorithm");
    if (algorithm.length === 0 || algorithm.length > 2) throw new KeyRefused("The public key's algorithm is malformed");
    const key = octetAlignedBitsOf(info[1], "The public key's value");
    return readKey(oidOf(algorithm[0], "The public key's algorithm"), algorithm[1], key);
  } catch (error) {
    if (error instanceof DerError) throw new KeyRefused(error.message, { cause: error });
    throw error;
  }
}

function readKey(algorithm: string, parameters: DerElement | undefined, key: Buffer): Shape {
  switch (algorithm) {
    case oids.ecPublicKey:
      return readEcKey(parameters, key);
    case oids.rsaEncryption:
      return readRsaKey(parameters, key);
    case oids.ed25519:
      return readEdwardsKey(parameters, key);
    default:
      throw new KeyRefused("The key is not of a kind that is accepted: ECDSA P-256 or P-384, RSA, Ed25519");
  }
}

/** RFC 5480 §2.1.1 (named curves only) and §2.2. */
function readEcKey(parameters: DerElement | undefined, point: Buffer): Shape {
  if (parameters?.tag === tags.sequence) throw new KeyRefused("The elliptic curve is given by parameters, not by name");
  const curve = oidOf(parameters, "The elliptic curve");
  if (curve !== oids.prime256v1 && curve !== oids.secp384r1) {
    throw new KeyRefused("The elliptic curve is neither P-256 nor P-384");
  }
  const shape: Shape = curve === oids.prime256v1 ? { kind: "ec-p256", bits: 256 } : { kind: "ec-p384", bits: 384 };
  if (point[0] !== 0x04) throw new KeyRefused("The elliptic-curve point is not in uncompressed form");
  if (point.length !== 1 + shape.bits / 4) throw new KeyRefused("The elliptic-curve point has the wrong length");
  if (!isOnCurve(curve === oids.prime256v1 ? "ec-p256" : "ec-p384", point))
    throw new KeyRefused("The elliptic-curve point is not on its curve");
  return shape;
}

/** RFC 8410 §3. OpenSSL looks at the point only when it verifies; a key is to be refused as a key. */
function readEdwardsKey(parameters: DerElement | undefined, key: Buffer): Shape {
  if (parameters !== undefined) throw new KeyRefused("An Ed25519 key has no parameters");
  if (key.length !== 32) throw new KeyRefused("An Ed25519 key has 32 octets");
  const weakness = edwardsPointWeakness(key);
  if (weakness !== undefined) throw new KeyRefused(weakness);
  return { kind: "ed25519", bits: 256 };
}

/** RFC 3279 §2.3.1. */
function readRsaKey(parameters: DerElement | undefined, key: Buffer): Shape {
  if (parameters?.tag !== tags.null) throw new KeyRefused("An RSA key's algorithm has NULL parameters");
  const members = membersOf(readDer(key), tags.sequence, "The RSA key");
  if (members.length !== 2) throw new KeyRefused("The RSA key has not two members");
  const modulus = contentOf(members[0], tags.integer, "The RSA modulus");
  const exponent = contentOf(members[1], tags.integer, "The RSA exponent");
  if (modulus.readInt8(0) < 0) throw new KeyRefused("The RSA modulus is negative");
  const magnitude = modulus[0] === 0 ? modulus.subarray(1) : modulus;
  const bits = magnitude.length * 8 - Math.clz32(magnitude[0] ?? 0) + 24;
  if (bits < 2048 || bits > 4096) throw new KeyRefused("An RSA key has 2048 to 4096 bits");
  if (bits % 8 !== 0) throw new KeyRefused("The size of an RSA key is a multiple of 8 bits");
  if (exponent.toString("hex") !== "010001") throw new KeyRefused("The exponent of an RSA key is 65537");
  const weakness = modulusWeakness(BigInt(`0x${magnitude.toString("hex")}`));
  if (weakness !== undefined) throw new KeyRefused(weakness);
  return { kind: "rsa", bits };
}

/** Of a key that passed all checks: what OpenSSL refuses nevertheless is refused here, too. */
function importKey(spki: Buffer): KeyObject {
  try {
    return createPublicKey({ key: spki, format: "der", type: "spki" });
  } catch (error) {
    throw new KeyRefused("The key cannot be used", { cause: error });
  }
}
