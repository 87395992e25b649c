/**
 * TPMT_PUBLIC (TPM 2.0 Library Part 2 §12.2.4): the public area of a key in a TPM, whose hash is the key's name. RSA and the curves P-256 and
 * P-384 are read, asymmetric keys only. Pure.
 */
import { hash, type KeyObject } from "node:crypto";
import { bitString, der, encodeDer, objectIdentifier, sequence } from "../../x509/derWriter.ts";
import { oids } from "../../x509/oid.ts";
import { tags } from "../../x509/der.ts";
import { readPublicKey } from "../../x509/publicKey.ts";
import { algorithms, digestBytes, hashOf, type TpmHash } from "./algorithms.ts";
import { TpmReader, TpmStructureError } from "./reader.ts";

/** TPMA_OBJECT, bit by bit (Part 2 §8.3); the others are reserved and zero. */
const attributeBits = {
  fixedTPM: 1,
  stClear: 2,
  fixedParent: 4,
  sensitiveDataOrigin: 5,
  userWithAuth: 6,
  adminWithPolicy: 7,
  firmwareLimited: 8,
  svnLimited: 9,
  noDA: 10,
  encryptedDuplication: 11,
  restricted: 16,
  decrypt: 17,
  sign: 18,
  x509sign: 19,
} as const;

/** A property of an object that its TPM enforces. */
export type ObjectAttribute = keyof typeof attributeBits;

/** A TPM's key, as its TPM describes it. */
export interface PublicArea {
  /** All that was read: what the name is a hash of. */
  readonly bytes: Buffer;
  readonly nameAlgorithm: TpmHash;
  readonly attributes: ReadonlySet<ObjectAttribute>;
  readonly authPolicy: Buffer;
  /** Undefined where the key names none, and each use does. */
  readonly scheme: { readonly algorithm: "rsassa" | "rsapss" | "ecdsa"; readonly hash: TpmHash } | undefined;
  readonly key: TpmKey;
}

/** The part of a public area that other software calls the public key. Numbers are big-endian. */
export type TpmKey =
  | { readonly type: "rsa"; readonly bits: number; readonly modulus: Buffer }
  | { readonly type: "ecc"; readonly curve: TpmCurve; readonly x: Buffer; readonly y: Buffer };
export type TpmCurve = "P-256" | "P-384";

/** TPM_ECC_CURVE. */
const curves = new Map<number, { readonly curve: TpmCurve; readonly bytes: number }>([
  [0x0003, { curve: "P-256", bytes: 32 }],
  [0x0004, { curve: "P-384", bytes: 48 }],
]);
const rsaBits = [2048, 3072, 4096] as const;
const exponentDefault = 65_537;

/**
 * Reads exactly one TPMT_PUBLIC.
 * @throws {TpmStructureError} also for keys of other kinds and sizes
 */
export function readPublicArea(bytes: Uint8Array): PublicArea {
  const copy = Buffer.from(bytes);
  const reader = new TpmReader(copy, "The public area");
  const type = reader.u16();
  const nameAlgorithm = hashOf(reader.u16(), "The hash of the public area's name");
  const attributes = attributesOf(reader.u32());
  const authPolicy = reader.sized(digestBytes.sha512, "The authorization policy");
  const area = { bytes: copy, nameAlgorithm, attributes, authPolicy };
  skipSymmetric(reader);
  if (type === algorithms.rsa) {
    const scheme = readScheme(reader, rsaSchemes);
    return ended(reader, { ...area, scheme, key: readRsaKey(reader) });
  }
  if (type === algorithms.ecc) {
    const scheme = readScheme(reader, eccSchemes);
    return ended(reader, { ...area, scheme, key: readEccKey(reader) });
  }
  throw new TpmStructureError("The key of the public area is neither RSA nor ECC");
}

function ended<T>(reader: TpmReader, read: T): T {
  reader.end();
  return read;
}

function attributesOf(bits: number): ReadonlySet<ObjectAttribute> {
  const names = (Object.keys(attributeBits) as ObjectAttribute[]).filter(
    (name) => (bits & (1 << attributeBits[name])) !== 0,
  );
  if (names.reduce((known, name) => known | (1 << attributeBits[name]), 0) !== bits) {
    throw new TpmStructureError("The public area has attributes that are reserved");
  }
  return new Set(names);
}

/** TPMT_SYM_DEF_OBJECT: what a storage key protects its children with. */
function skipSymmetric(reader: TpmReader): void {
  const algorithm = reader.u16();
  if (algorithm === algorithms.null) return;
  if (algorithm !== algorithms.aes) throw new TpmStructureError("The symmetric algorithm is not AES");
  const bits = reader.u16();
  if (bits !== 128 && bits !== 192 && bits !== 256) throw new TpmStructureError("AES has 128, 192 or 256 bits");
  if (reader.u16() !== algorithms.cfb) throw new TpmStructureError("The symmetric algorithm is not in CFB mode");
}

type Scheme = PublicArea["scheme"];
interface SchemeForm {
  /** Signature schemes are told; those of decryption and agreement are only stepped over. */
  readonly signs?: "rsassa" | "rsapss" | "ecdsa";
  readonly hashed: boolean;
}
const rsaSchemes = new Map<number, SchemeForm>([
  [algorithms.rsassa, { signs: "rsassa", hashed: true }],
  [algorithms.rsapss, { signs: "rsapss", hashed: true }],
  [algorithms.oaep, { hashed: true }],
  [algorithms.rsaes, { hashed: false }],
]);
const eccSchemes = new Map<number, SchemeForm>([
  [algorithms.ecdsa, { signs: "ecdsa", hashed: true }],
  [algorithms.ecdh, { hashed: true }],
]);

/** TPMT_RSA_SCHEME and TPMT_ECC_SCHEME. */
function readScheme(reader: TpmReader, forms: ReadonlyMap<number, SchemeForm>): Scheme {
  const algorithm = reader.u16();
  if (algorithm === algorithms.null) return undefined;
  const form = forms.get(algorithm);
  if (form === undefined) throw new TpmStructureError("The key's scheme is not one that is taken");
  if (!form.hashed) return undefined;
  const hashName = hashOf(reader.u16(), "The hash of the key's scheme");
  return form.signs && { algorithm: form.signs, hash: hashName };
}

/** TPMS_RSA_PARMS without what came before, and TPM2B_PUBLIC_KEY_RSA. */
function readRsaKey(reader: TpmReader): TpmKey {
  const size = reader.u16();
  const exponent = reader.u32();
  const modulus = reader.sized(512, "The RSA modulus");
  const bits = rsaBits.find((one) => one === size);
  if (bits === undefined) throw new TpmStructureError("An RSA key has 2048, 3072 or 4096 bits");
  if (exponent !== 0 && exponent !== exponentDefault) {
    throw new TpmStructureError("The exponent of an RSA key is 65537");
  }
  if (modulus.length * 8 !== bits || (modulus[0] ?? 0) < 0x80) {
    throw new TpmStructureError("The RSA modulus has not the size that the public area says");
  }
  return { type: "rsa", bits, modulus };
}

/** TPMS_ECC_PARMS without what came before, and TPMS_ECC_POINT. */
function readEccKey(reader: TpmReader): TpmKey {
  const found = curves.get(reader.u16());
  if (found === undefined) throw new TpmStructureError("The elliptic curve is neither P-256 nor P-384");
  skipKeyDerivation(reader);
  const { curve, bytes } = found;
  const [x, y] = [reader.sized(bytes, "A coordinate"), reader.sized(bytes, "A coordinate")];
  return { type: "ecc", curve, x: padded(x, bytes), y: padded(y, bytes) };
}

/** TPMT_KDF_SCHEME. */
function skipKeyDerivation(reader: TpmReader): void {
  const algorithm = reader.u16();
  if (algorithm === algorithms.null) return;
  const { mgf1, kdf1Sp800Part56a, kdf2, kdf1Sp800Part108 } = algorithms;
  if (![mgf1, kdf1Sp800Part56a, kdf2, kdf1Sp800Part108].some((known) => known === algorithm)) {
    throw new TpmStructureError("The key derivation is not one that is taken");
  }
  hashOf(reader.u16(), "The hash of the key derivation");
}

/** Old TPMs write a coordinate without its leading zeros. */
function padded(coordinate: Buffer, bytes: number): Buffer {
  return Buffer.concat([Buffer.alloc(bytes - coordinate.length), coordinate]);
}

/** The name of a key (Part 1 §16): the identifier of its name's hash, and that hash of its public area. */
export function nameOf({ bytes, nameAlgorithm }: PublicArea): Buffer {
  const identifier = Buffer.alloc(2);
  identifier.writeUInt16BE(algorithms[nameAlgorithm]);
  return Buffer.concat([identifier, hash(nameAlgorithm, bytes, "buffer")]);
}

/**
 * The key as a SubjectPublicKeyInfo and as node:crypto holds it.
 * @throws {KeyRefused} when the key is weak or its point not on its curve
 */
export function publicKeyOf({ key }: PublicArea): { readonly spki: Buffer; readonly key: KeyObject } {
  return readPublicKey(encodeDer(key.type === "rsa" ? rsaInfo(key.modulus) : eccInfo(key)));
}

const curveOids: Record<TpmCurve, string> = { "P-256": oids.prime256v1, "P-384": oids.secp384r1 };

function eccInfo({ curve, x, y }: Extract<TpmKey, { type: "ecc" }>) {
  const algorithm = sequence(objectIdentifier(oids.ecPublicKey), objectIdentifier(curveOids[curve]));
  return sequence(algorithm, bitString(Buffer.concat([Uint8Array.of(0x04), x, y])));
}

function rsaInfo(modulus: Buffer) {
  const exponent = Buffer.from([0x01, 0x00, 0x01]);
  const key = sequence(
    der(tags.integer, Buffer.concat([Uint8Array.of(0), modulus])), // Its first bit is set, and an INTEGER has a sign.
    der(tags.integer, exponent),
  );
  return sequence(sequence(objectIdentifier(oids.rsaEncryption), der(tags.null)), bitString(encodeDer(key)));
}
