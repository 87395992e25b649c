/**
 * Key objects in a token: how they are searched for and read (PKCS#11 v2.40 §4.7–4.9; attributes of RSA and EC keys in the v2.40
 * mechanisms §2.1 and §2.3, of Ed25519 keys in v3.0 §2.3).
 */
import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import type { Attribute, Handle } from "pkcs11js";
import type { Pkcs11Module } from "./pkcs11Module.ts";
import { unsignedLong, type TokenSession } from "./pkcs11Token.ts";

/** CKK_EC_EDWARDS (PKCS#11 v3.0); pkcs11js names what v2.40 has. */
const ckkEcEdwards = 0x40;

/** CKK_ML_DSA and CKA_PARAMETER_SET (PKCS#11 v3.2, ML-DSA); the value of a public key is its plain octets. */
const ckkMlDsa = 0x4a;
export const ckaParameterSet = 0x61d;
/** CKP_ML_DSA_44, CKP_ML_DSA_65, CKP_ML_DSA_87. */
export type MlDsaParameterSet = 1 | 2 | 3;
/** JWK `alg` by parameter set (RFC 9964 §3). */
const mlDsaAlgorithms = ["", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"];

/** CKA_EC_PARAMS, DER: the OID of the named curve; for Ed25519 some tokens carry its name as PrintableString instead. */
const curves = [
  { crv: "P-256", coordinateBytes: 32, parameters: ["06082a8648ce3d030107"] },
  { crv: "P-384", coordinateBytes: 48, parameters: ["06052b81040022"] },
  { crv: "Ed25519", coordinateBytes: 32, parameters: ["06032b6570", "130c656477617264733235353139"] },
];

const cksUserStates = { readOnly: 1, readWrite: 3 };
/** One match is what is wanted, a second one is refused, more say nothing new. */
const matchesMax = 2;

/** Which key objects belong together: CKA_ID ties private to public, the type keeps keys apart that carry one careless id ("01"). */
export interface KeyReference {
  readonly id: Buffer;
  /** CKA_KEY_TYPE */
  readonly keyType: number;
  /** As `nameOf` makes it, for those who look for the key often. */
  readonly name?: string;
}

/** One word for both. */
export function nameOf({ id, keyType }: KeyReference): string {
  return `${keyType}:${id.toString("hex")}`;
}

/** A key pair found in the token. */
export interface TokenKey extends KeyReference {
  readonly label: string;
  readonly publicKey: KeyObject;
}

/** DER CKA_EC_PARAMS of "P-256", "P-384" or "Ed25519". */
export function curveParameters(crv: string): Buffer {
  return Buffer.from(curves.find((curve) => curve.crv === crv)?.parameters[0] ?? "", "hex");
}

/** The CKA_ID of keys made here: the first 20 octets of SHA-256 over the EC point, the modulus or the octets of an ML-DSA key. */
export function idOf(publicKey: KeyObject): Buffer {
  const jwk = publicKey.export({ format: "jwk" });
  return createHash("sha256")
    .update(jwk.kty === "RSA" ? octets(jwk.n) : jwk.kty === "AKP" ? octets(publicOctets(jwk)) : ecPoint(jwk))
    .digest()
    .subarray(0, 20);
}

/**
 * Finds the key pair whose public object holds this public key.
 * @throws {Error} when its CKA_ID leads to more than one private key
 */
export function findByPublicKey(
  module: Pkcs11Module,
  session: TokenSession,
  publicKey: KeyObject,
): TokenKey | undefined {
  const { ck } = module;
  const { keyType, values } = publicKeySearch(module, publicKey);
  const ids = new Map<string, Buffer>();
  for (const value of values) {
    const template = [
      { type: ck.CKA_CLASS, value: ck.CKO_PUBLIC_KEY },
      { type: ck.CKA_TOKEN, value: true },
      { type: ck.CKA_KEY_TYPE, value: keyType },
      value,
    ];
    for (const handle of findObjects(module, session, template)) {
      const [id = Buffer.alloc(0)] = readAttributes(module, session, handle, [ck.CKA_ID]);
      // A template with an empty CKA_ID would lead to whatever other key has none.
      if (id.length > 0) ids.set(id.toString("hex"), id);
    }
  }
  for (const id of ids.values()) {
    const handle = findPrivateKey(module, session, { id, keyType });
    if (!handle) continue;
    const [label = Buffer.alloc(0)] = readAttributes(module, session, handle, [ck.CKA_LABEL]);
    return { id, keyType, label: label.toString("utf8"), publicKey };
  }
  return undefined;
}

/**
 * Finds the key pair whose private object has this CKA_LABEL.
 * @throws {Error} when two private keys have it, or no public object belongs to it
 */
export function findByLabel(module: Pkcs11Module, session: TokenSession, label: string): TokenKey | undefined {
  const { ck } = module;
  const handles = findPrivateKeys(module, session, [{ type: ck.CKA_LABEL, value: Buffer.from(label) }]);
  const [handle, another] = handles;
  if (!handle) return undefined;
  if (another)
    throw new Error(`the token holds more than one private key labelled "${label}"; give each its own label`);
  const [id = Buffer.alloc(0), type = Buffer.alloc(0)] = readAttributes(module, session, handle, [
    ck.CKA_ID,
    ck.CKA_KEY_TYPE,
  ]);
  if (id.length === 0) throw new Error(`the private key "${label}" has no CKA_ID, so its public key cannot be found`);
  const key = { id, keyType: unsignedLong(type) };
  return { ...key, label, publicKey: readPublicKey(module, session, key, label) };
}

/** How many private keys have this label, counted to two. */
export function countLabel(module: Pkcs11Module, session: TokenSession, label: string): number {
  return findPrivateKeys(module, session, [{ type: module.ck.CKA_LABEL, value: Buffer.from(label) }]).length;
}

/**
 * The handle of a private key, remembered for the life of the session's opening.
 * @throws {Error} when two keys fit
 */
export function findPrivateKey(module: Pkcs11Module, session: TokenSession, key: KeyReference): Handle | undefined {
  const { ck } = module;
  const name = key.name ?? nameOf(key);
  const known = session.privateKeys.get(name);
  if (known) return known;
  const [handle, another] = findPrivateKeys(module, session, [
    { type: ck.CKA_ID, value: key.id },
    { type: ck.CKA_KEY_TYPE, value: key.keyType },
  ]);
  if (another) throw new Error(`the token holds two private keys with CKA_ID ${key.id.toString("hex")}; one must go`);
  if (handle) session.privateKeys.set(name, handle);
  return handle;
}

/** Reads a public object into a key, with whatever curve it has among ours. */
export function readPublicObject(module: Pkcs11Module, session: TokenSession, object: Handle): KeyObject {
  const { ck } = module;
  const read = (...types: number[]) => readAttributes(module, session, object, types);
  const keyType = unsignedLong(read(ck.CKA_KEY_TYPE)[0] ?? Buffer.alloc(0));
  if (keyType === ck.CKK_RSA) {
    const [n, e] = read(ck.CKA_MODULUS, ck.CKA_PUBLIC_EXPONENT);
    return keyFromJwk({ kty: "RSA", n: n?.toString("base64url"), e: e?.toString("base64url") });
  }
  if (keyType === ckkMlDsa) {
    const [set, pub] = read(ckaParameterSet, ck.CKA_VALUE);
    const alg = mlDsaAlgorithms[unsignedLong(set ?? Buffer.alloc(0))];
    if (!alg || !pub) throw new Error("the token's ML-DSA key is of no known parameter set");
    return keyFromJwk({ kty: "AKP", alg, pub: pub.toString("base64url") });
  }
  if (keyType !== ck.CKK_EC && keyType !== ckkEcEdwards)
    throw new Error("the token's key is neither RSA, EC, Ed25519 nor ML-DSA");
  const [parameters, value] = read(ck.CKA_EC_PARAMS, ck.CKA_EC_POINT);
  const curve = curves.find((each) => each.parameters.includes(parameters?.toString("hex") ?? ""));
  if (!curve || !value) throw new Error("the token's key is on a curve other than P-256, P-384 and Ed25519");
  return keyFromJwk(jwkOfPoint(curve, value));
}

function readPublicKey(module: Pkcs11Module, session: TokenSession, key: KeyReference, label: string): KeyObject {
  const { ck } = module;
  const [object] = findObjects(module, session, [
    { type: ck.CKA_CLASS, value: ck.CKO_PUBLIC_KEY },
    { type: ck.CKA_TOKEN, value: true },
    { type: ck.CKA_ID, value: key.id },
    { type: ck.CKA_KEY_TYPE, value: key.keyType },
  ]);
  if (object) return readPublicObject(module, session, object);
  throw new Error(`the token holds no public key for "${label}" (CKA_ID ${key.id.toString("hex")})`);
}

/** CKA_EC_POINT as tokens write it: DER OCTET STRING around the point (the standard), or the bare point. */
function jwkOfPoint({ crv, coordinateBytes }: (typeof curves)[number], value: Buffer): JsonWebKey {
  const pointBytes = crv === "Ed25519" ? coordinateBytes : 1 + 2 * coordinateBytes;
  const wrapped = value.length === pointBytes + 2 && value[0] === 0x04 && value[1] === pointBytes;
  const point = wrapped ? value.subarray(2) : value;
  if (point.length !== pointBytes) throw new Error("the token's CKA_EC_POINT has the wrong length for its curve");
  if (crv === "Ed25519") return { kty: "OKP", crv, x: point.toString("base64url") };
  if (point[0] !== 0x04) throw new Error("the token's CKA_EC_POINT is not an uncompressed point");
  const x = point.subarray(1, 1 + coordinateBytes);
  const y = point.subarray(1 + coordinateBytes);
  return { kty: "EC", crv, x: x.toString("base64url"), y: y.toString("base64url") };
}

function keyFromJwk(key: JsonWebKey): KeyObject {
  return createPublicKey({ format: "jwk", key });
}

function publicKeySearch({ ck }: Pkcs11Module, publicKey: KeyObject): { keyType: number; values: Attribute[] } {
  const jwk = publicKey.export({ format: "jwk" });
  if (jwk.kty === "RSA") return { keyType: ck.CKK_RSA, values: [{ type: ck.CKA_MODULUS, value: octets(jwk.n) }] };
  if (jwk.kty === "AKP") {
    return { keyType: ckkMlDsa, values: [{ type: ck.CKA_VALUE, value: octets(publicOctets(jwk)) }] };
  }
  const point = ecPoint(jwk);
  const wrapped = Buffer.concat([Buffer.of(0x04, point.length), point]);
  return {
    keyType: jwk.kty === "OKP" ? ckkEcEdwards : ck.CKK_EC,
    values: [wrapped, point].map((value) => ({ type: ck.CKA_EC_POINT, value })),
  };
}

function ecPoint(jwk: JsonWebKey): Buffer {
  if (jwk.kty === "OKP") return octets(jwk.x);
  return Buffer.concat([Buffer.of(0x04), octets(jwk.x), octets(jwk.y)]);
}

/** `pub` of an AKP key (RFC 9964 §3). */
function publicOctets(jwk: JsonWebKey): string | undefined {
  return typeof jwk["pub"] === "string" ? jwk["pub"] : undefined;
}

function octets(base64url: string | undefined): Buffer {
  return Buffer.from(base64url ?? "", "base64url");
}

function findPrivateKeys(module: Pkcs11Module, session: TokenSession, template: Attribute[]): Handle[] {
  const { cryptoki, ck } = module;
  // A session that lost its login answers "no such key" instead of an error, and we would go and make a second one.
  const { state } = cryptoki.C_GetSessionInfo(session.handle);
  if (state !== cksUserStates.readOnly && state !== cksUserStates.readWrite) throw new Error("CKR_USER_NOT_LOGGED_IN");
  return findObjects(module, session, [
    { type: ck.CKA_CLASS, value: ck.CKO_PRIVATE_KEY },
    { type: ck.CKA_TOKEN, value: true },
    ...template,
  ]);
}

function findObjects({ cryptoki }: Pkcs11Module, session: TokenSession, template: Attribute[]): Handle[] {
  cryptoki.C_FindObjectsInit(session.handle, template);
  try {
    return cryptoki.C_FindObjects(session.handle, matchesMax);
  } finally {
    endSearch(cryptoki, session.handle);
  }
}

function endSearch(cryptoki: Pkcs11Module["cryptoki"], session: Handle): void {
  try {
    cryptoki.C_FindObjectsFinal(session);
  } catch {
    // What C_FindObjects returned is what counts; a search that goes on is told by the next operation on this session.
  }
}

/** Values in the order of `types`. @throws what C_GetAttributeValue returns, also for an attribute that the object does not have */
export function readAttributes(module: Pkcs11Module, session: TokenSession, object: Handle, types: number[]): Buffer[] {
  const template = types.map((type) => ({ type }));
  return module.cryptoki.C_GetAttributeValue(session.handle, object, template).map(({ value }) => value);
}
