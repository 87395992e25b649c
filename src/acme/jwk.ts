/** Account keys as JWKs (RFC 7517, RFC 7518 §6, RFC 8037) and their thumbprints (RFC 7638). Public, strict, of the kinds we verify. */
import { createHash, createPublicKey, hash, type KeyObject } from "node:crypto";

import { bitString, encodeDer, objectIdentifier, sequence } from "../x509/derWriter.ts";
import { oids } from "../x509/oid.ts";
import { KeyRefused, keyOf, type PublicKey } from "../x509/publicKey.ts";
import { problem } from "../problem/problem.ts";
import { decodeBase64url } from "../encoding/base64url.ts";
import type { JsonObject } from "../encoding/json.ts";

export interface AccountKey {
  readonly key: KeyObject;
  /** SHA-256 thumbprint, 32 octets. */
  readonly thumbprint: Buffer;
  /** SHA-256 of the SubjectPublicKeyInfo, by which keys are blocked. */
  readonly spkiSha256: Buffer;
  /** Only the members that make the key; what else the client sent is not kept. */
  readonly jwk: Readonly<Record<string, string>>;
  readonly kind: "P-256" | "P-384" | "P-521" | "RSA" | "Ed25519";
}

const coordinateOctets = { "P-256": 32, "P-384": 48, "P-521": 66 } as const;
const privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/**
 * Reads a public JWK.
 * @throws {Problem} badPublicKey for a key we do not accept, malformed for what is no JWK
 */
export function readJwk(jwk: JsonObject): AccountKey {
  if (privateMembers.some((name) => name in jwk)) throw problem("malformed", "the jwk holds private key members");
  switch (jwk["kty"]) {
    case "EC":
      return ecKey(jwk);
    case "RSA":
      return rsaKey(jwk);
    case "OKP":
      return edwardsKey(jwk);
    default:
      throw problem("badPublicKey", "the jwk's kty is not one of EC, RSA, OKP");
  }
}

/** The thumbprint of a certificate's key, to tell it from account keys (RFC 8555 §11.1). */
export function thumbprintOf({ key, kind, spki }: PublicKey): Buffer {
  // A SubjectPublicKeyInfo of this kind ends with its point, and OpenSSL takes as long to write it as JWK as for half a signature.
  const crv = ({ "ec-p256": "P-256", "ec-p384": "P-384" } as Readonly<Record<string, string>>)[kind];
  if (crv !== undefined) {
    const octets = kind === "ec-p256" ? 32 : 48;
    const [x, y] = [spki.subarray(-2 * octets, -octets), spki.subarray(-octets)].map((one) =>
      one.toString("base64url"),
    );
    return thumbprint({ kty: "EC", crv, x, y });
  }
  return jwkThumbprint(key);
}

function jwkThumbprint(key: KeyObject): Buffer {
  const { kty, crv, x, y, n, e } = key.export({ format: "jwk" });
  return thumbprint({ kty, crv, x, y, n, e });
}

const accountKey = (key: KeyObject, jwk: Readonly<Record<string, string>>, kind: AccountKey["kind"]): AccountKey => ({
  key,
  thumbprint: thumbprint(jwk),
  spkiSha256: hash("sha256", spkiOf(key, jwk), "buffer"),
  jwk,
  kind,
});

const curves: Readonly<Record<string, string>> = {
  "P-256": oids.prime256v1,
  "P-384": oids.secp384r1,
  "P-521": oids.secp521r1,
};

/** The SubjectPublicKeyInfo (RFC 5480 §2). For the usual keys it is written here: OpenSSL takes as long for it as for a signature. */
function spkiOf(key: KeyObject, { crv = "", x = "", y = "" }: Readonly<Record<string, string>>): Buffer {
  const curve = curves[crv];
  if (curve === undefined) return key.export({ type: "spki", format: "der" });
  const algorithm = sequence(objectIdentifier(oids.ecPublicKey), objectIdentifier(curve));
  const point = Buffer.concat([Buffer.of(4), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
  return encodeDer(sequence(algorithm, bitString(point)));
}

/** RFC 7638 §3: the required members, in the order of their names, without white space. */
function thumbprint(members: Record<string, string | undefined>): Buffer {
  const sorted = Object.entries(members)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify(Object.fromEntries(sorted)))
    .digest();
}

function ecKey(jwk: JsonObject): AccountKey {
  const { crv } = jwk;
  if (crv !== "P-256" && crv !== "P-384" && crv !== "P-521")
    throw problem("badPublicKey", "the jwk's curve is not supported");
  const members = {
    kty: "EC",
    crv,
    x: member(jwk, "x", coordinateOctets[crv]),
    y: member(jwk, "y", coordinateOctets[crv]),
  };
  return accountKey(imported(members), members, crv);
}

function edwardsKey(jwk: JsonObject): AccountKey {
  if (jwk["crv"] !== "Ed25519") throw problem("badPublicKey", "the jwk's curve is not supported");
  const members = { kty: "OKP", crv: "Ed25519", x: member(jwk, "x", 32) };
  return accountKey(sound(imported(members)), members, "Ed25519");
}

function rsaKey(jwk: JsonObject): AccountKey {
  const members = { kty: "RSA", n: integer(jwk, "n"), e: integer(jwk, "e") };
  return accountKey(sound(imported(members)), members, "RSA");
}

/** The same rules as for a certificate's key: an RSA key's size, exponent and factors, an Ed25519 key's point. */
function sound(key: KeyObject): KeyObject {
  try {
    keyOf(key);
    return key;
  } catch (error) {
    if (error instanceof KeyRefused) throw problem("badPublicKey", error.message);
    throw error;
  }
}

/** A coordinate: exactly as long as the field (RFC 7518 §6.2.1.2; erratum 7565 of RFC 8555). */
function member(jwk: JsonObject, name: string, octets: number): string {
  const value = jwk[name];
  if (typeof value !== "string" || decodeBase64url(value)?.length !== octets) {
    throw problem("badPublicKey", `the jwk's ${name} is not base64url of ${octets} octets`);
  }
  return value;
}

/** An RSA integer: base64url without leading zero octets (RFC 7518 §6.3.1), at most as long as the largest key we accept. */
function integer(jwk: JsonObject, name: string): string {
  const value = jwk[name];
  const octets = typeof value === "string" && value.length <= 1400 ? decodeBase64url(value) : undefined;
  if (octets === undefined || octets.length === 0 || octets[0] === 0) {
    throw problem("badPublicKey", `the jwk's ${name} is not an RSA integer`);
  }
  return octets.toString("base64url");
}

function imported(jwk: Record<string, string>): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: "jwk" });
  } catch {
    throw problem("badPublicKey", "the jwk is not a valid public key"); // A point that is not on its curve ends here.
  }
}
