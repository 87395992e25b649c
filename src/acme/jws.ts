/**
 * The JWS of an ACME request (RFC 8555 §6.2): flattened JSON serialization, one signature, everything protected. Parsing, the
 * algorithm and the signature; whose key it is, is the pipeline's matter.
 *
 * Signatures are checked by one-shot `crypto.verify` with kept KeyObjects: a third of the cost of the WebCrypto way, seven times per
 * issuance. `test/acme/jws.test.ts` holds it against `jose` as the independent witness.
 */
import { verify, type KeyObject } from "node:crypto";

import { ecdsaSigValue } from "../x509/ecdsaSigValue.ts";
import { problem } from "../problem/problem.ts";
import { decodeBase64url } from "../encoding/base64url.ts";
import { JsonRefused, parseJsonObject, type JsonObject } from "../encoding/json.ts";
import type { AccountKey } from "./jwk.ts";

/** JWS algorithms that sign ACME requests; what `badSignatureAlgorithm` lists. Never `none`, never a MAC (RFC 8555 §6.2). */
export const algorithms = ["ES256", "ES384", "ES512", "EdDSA", "RS256"] as const;
export type Algorithm = (typeof algorithms)[number];

const rows: Record<Algorithm, { kind: AccountKey["kind"]; hash: string | null; octets?: number }> = {
  ES256: { kind: "P-256", hash: "sha256", octets: 64 },
  ES384: { kind: "P-384", hash: "sha384", octets: 96 },
  ES512: { kind: "P-521", hash: "sha512", octets: 132 },
  EdDSA: { kind: "Ed25519", hash: null, octets: 64 },
  RS256: { kind: "RSA", hash: "sha256" },
};

export interface Flattened<A extends string> {
  readonly header: JsonObject;
  readonly algorithm: A;
  /** The payload's octets; none at all for POST-as-GET (RFC 8555 §6.3). */
  readonly payload: Buffer;
  readonly signature: Buffer;
  /** What was signed: protected "." payload, as sent. */
  readonly signingInput: Buffer;
}
export type Jws = Flattened<Algorithm>;

/**
 * Parses a flattened JWS.
 * @throws {Problem} malformed · badSignatureAlgorithm with the `algorithms` member (RFC 8555 §6.2)
 */
export function parseJws(body: Uint8Array, what = "the body"): Jws {
  return jwsOf(jsonObject(body, what), what);
}

/** The same for a JWS that is already JSON: the inner one of keyChange (RFC 8555 §7.3.5). */
export const jwsOf = (flattened: JsonObject, what: string): Jws => flattenedOf(flattened, what, algorithms);

/** The same with other algorithms: the MAC'd one of an external account binding (RFC 8555 §7.3.4). */
export function flattenedOf<A extends string>(
  flattened: JsonObject,
  what: string,
  accepted: readonly A[],
): Flattened<A> {
  const { protected: protectedHeader, payload, signature } = flattened;
  if ("signatures" in flattened) throw problem("malformed", `${what} has several signatures; one is allowed`);
  if ("header" in flattened) throw problem("malformed", `${what} has an unprotected header`);
  const header = jsonObject(octetsOf(protectedHeader, `${what}: protected`), `${what}: protected`);
  if ("crit" in header || "b64" in header) throw problem("malformed", `${what}: no critical header is understood`);
  const algorithm = checkAlgorithm(header["alg"], what, accepted);
  return {
    header,
    algorithm,
    payload: octetsOf(payload, `${what}: payload`),
    signature: octetsOf(signature, `${what}: signature`),
    signingInput: Buffer.from(`${protectedHeader as string}.${payload as string}`, "ascii"),
  };
}

/** True when `signature` is `key`'s over the JWS. The key must be of the algorithm's kind: checked before. */
export function verifyJws({ algorithm, signature, signingInput }: Jws, key: KeyObject): boolean {
  const { hash, octets } = rows[algorithm];
  if (octets !== undefined && signature.length !== octets) return false; // A DER-encoded ECDSA signature ends here (H-04d).
  // Node could read r‖s itself, but the options object it wants for that doubles the cost of the call.
  return verify(hash, signingInput, key, algorithm.startsWith("ES") ? ecdsaSigValue(signature) : signature);
}

/** True when the key is of the algorithm's kind. */
export const keyFits = ({ algorithm }: Jws, { kind }: Pick<AccountKey, "kind">): boolean =>
  rows[algorithm].kind === kind;

/** @throws {Problem} badPublicKey when the key is not of the algorithm's kind (RFC 8555 §6.2) */
export function checkKeyFits(jws: Jws, key: Pick<AccountKey, "kind">): void {
  if (!keyFits(jws, key)) throw problem("badPublicKey", `a ${key.kind} key cannot sign with ${jws.algorithm}`);
}

function checkAlgorithm<A extends string>(alg: unknown, what: string, accepted: readonly A[]): A {
  if (typeof alg !== "string") throw problem("malformed", `${what}: the protected header has no alg`);
  const known = accepted.find((algorithm) => algorithm === alg);
  if (known === undefined) {
    throw problem("badSignatureAlgorithm", "the alg is not one that this server accepts", {
      members: { algorithms: accepted },
    });
  }
  return known;
}

function octetsOf(value: unknown, what: string): Buffer {
  const octets = typeof value === "string" ? decodeBase64url(value) : undefined;
  if (octets === undefined) throw problem("malformed", `${what} is not base64url`);
  return octets;
}

/** `parseJsonObject` with its refusal as a problem. */
export function jsonObject(octets: Uint8Array, what: string): JsonObject {
  try {
    return parseJsonObject(octets, what);
  } catch (error) {
    if (error instanceof JsonRefused) throw problem("malformed", error.message);
    throw error;
  }
}
