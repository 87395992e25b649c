/**
 * The flattened JWS of RFC 8555 §6.2, signed with node:crypto: one synchronous signature costs less than the hop to a worker.
 */
import { createHash, createPublicKey, type KeyObject, sign, type JsonWebKey } from "node:crypto";

/** An account key ready to sign. Made once per account: the JWK and its thumbprint are not worked out again. */
export interface JwsSigner {
  readonly alg: "ES256" | "ES384" | "EdDSA" | "RS256";
  /** The public JWK with its required members only, in the order of RFC 7638 §3.2. */
  readonly jwk: JsonWebKey;
  /** SHA-256 JWK thumbprint, base64url (RFC 7638). */
  readonly thumbprint: string;
  /** The JSON text of a flattened JWS. `payload` undefined makes POST-as-GET (RFC 8555 §6.3): the empty payload. */
  sign(header: JwsHeader, payload: object | undefined): string;
}

/** Who signs: `kid`, the account URL, or else the key itself travels as `jwk`. */
export interface JwsHeader {
  readonly kid?: string;
  readonly nonce: string;
  readonly url: string;
}

/** @throws {TypeError} for a key that is not private or of a kind that JWS has no usual algorithm for. */
export function jwsSigner(privateKey: KeyObject): JwsSigner {
  if (privateKey.type !== "private") throw new TypeError("an account key must be a private key");
  const { alg, hash, members, ecdsaOctets } = algorithmOf(privateKey);
  const exported = createPublicKey(privateKey).export({ format: "jwk" });
  const jwk: JsonWebKey = Object.fromEntries(members.map((name) => [name, exported[name]]));
  const thumbprint = createHash("sha256").update(JSON.stringify(jwk)).digest("base64url");
  return {
    alg,
    jwk,
    thumbprint,
    sign({ kid, nonce, url }, payload) {
      const header = kid === undefined ? { alg, jwk, nonce, url } : { alg, kid, nonce, url };
      const protectedHeader = Buffer.from(JSON.stringify(header)).toString("base64url");
      const body = payload === undefined ? "" : Buffer.from(JSON.stringify(payload)).toString("base64url");
      const input = Buffer.from(`${protectedHeader}.${body}`, "latin1");
      const signature = signatureOf(input, privateKey, { hash, ecdsaOctets });
      return `{"protected":"${protectedHeader}","payload":"${body}","signature":"${signature}"}`;
    },
  };
}

/**
 * A compact JWS (RFC 7515 §7.1), for what is no request.
 * @param header members beside `alg`
 * @throws {TypeError} as `jwsSigner`
 */
export function signCompact(privateKey: KeyObject, header: object, payload: object): string {
  const algorithm = algorithmOf(privateKey);
  const parts = [{ alg: algorithm.alg, ...header }, payload];
  const input = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${input}.${signatureOf(Buffer.from(input, "latin1"), privateKey, algorithm)}`;
}

/** Base64url. */
function signatureOf(
  input: Buffer,
  privateKey: KeyObject,
  { hash, ecdsaOctets }: Pick<Algorithm, "hash" | "ecdsaOctets">,
): string {
  // Node can make the concatenation itself (`dsaEncoding`), but takes twice as long over the options object it wants for that.
  const signed = sign(hash, input, privateKey);
  return (ecdsaOctets === 0 ? signed : concatenated(signed, ecdsaOctets)).toString("base64url");
}

interface Algorithm {
  readonly alg: JwsSigner["alg"];
  readonly hash: string | null;
  /** Required members of the JWK, in the lexical order that RFC 7638 §3.2 asks for. */
  readonly members: readonly string[];
  /** Size of R and of S in an ECDSA signature; 0 for the other algorithms. */
  readonly ecdsaOctets: number;
}

/** RFC 7518 §3.1 and RFC 8037 §3.1. */
function algorithmOf(key: KeyObject): Algorithm {
  const members = ["crv", "kty", "x", "y"];
  const kind = key.asymmetricKeyType === "ec" ? key.asymmetricKeyDetails?.namedCurve : key.asymmetricKeyType;
  if (kind === "prime256v1") return { alg: "ES256", hash: "sha256", members, ecdsaOctets: 32 };
  if (kind === "secp384r1") return { alg: "ES384", hash: "sha384", members, ecdsaOctets: 48 };
  if (kind === "ed25519") return { alg: "EdDSA", hash: null, members: ["crv", "kty", "x"], ecdsaOctets: 0 };
  if (kind === "rsa") return { alg: "RS256", hash: "sha256", members: ["e", "kty", "n"], ecdsaOctets: 0 };
  throw new TypeError("an account key must be ECDSA P-256 or P-384, Ed25519 or RSA");
}

/** DER `Ecdsa-Sig-Value` (RFC 3279 §2.2.3), under 128 octets long, to R and S side by side (RFC 7518 §3.4). */
function concatenated(der: Buffer, octets: number): Buffer {
  const both = Buffer.alloc(2 * octets);
  let at = 2;
  for (const end of [octets, 2 * octets]) {
    const length = der.readUInt8(at + 1);
    const next = at + 2 + length;
    // An INTEGER has a zero in front where its first bit is set, and none of the zeros that fill R and S up.
    const value = der.subarray(next - Math.min(length, octets), next);
    both.set(value, end - value.length);
    at = next;
  }
  return both;
}
