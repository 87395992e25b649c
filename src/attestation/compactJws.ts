/**
 * Compact JWS (RFC 7515 §7.1) as platforms sign them: cut strictly, verified with the keys of one source and nothing else.
 */
import { constants, KeyObject, verify } from "node:crypto";
import { createLocalJWKSet, errors, type CryptoKey } from "jose";
import { JsonRefused, parseJsonObject } from "../encoding/json.ts";
import { ecdsaSigValue } from "../x509/ecdsaSigValue.ts";
import { type Claims, invalid, type JsonWebKeySet, malformed } from "./evidence.ts";
import type { TokenSource } from "./tokenSource.ts";

/** What `source` signed. */
export interface VerifiedJws {
  readonly payload: Uint8Array;
  /** BASE64URL(header) "." BASE64URL(payload), the signed text itself. */
  readonly signingInput: string;
}

/** A compact JWS in its parts, each of them checked base64url. */
interface CutJws {
  readonly header: { readonly alg: string; readonly kid?: string };
  readonly signingInput: string;
  readonly payload: string;
  readonly signature: string;
}

interface Header {
  readonly alg: string;
  readonly kid: string | undefined;
}

/** The largest compact JWS that is looked at; it is ASCII, or no compact JWS. */
export const tokenBytesMax = 16_384;
const kidCharactersMax = 256;
/** Headers that would bring keys along or change what is signed (RFC 7515 §4.1, RFC 7797): no platform token needs them. */
const forbiddenHeaders = ["crit", "b64", "jwk", "jku", "x5u", "x5c"] as const;
/** RFC 9447 §4: authority tokens say where their certificate is. Nobody looks there: the keys are those of the source. */
const ignoredHeaders: Partial<Record<string, readonly string[]>> = { atc: ["x5u", "x5c"] };
/** JWT-SVID §2: these and no others. */
const onlyHeaders: Partial<Record<string, readonly string[]>> = { "spiffe-jwt": ["alg", "kid", "typ"] };
/** RFC 7519 §5.1 and JWT-SVID §2.3: what a token that names no more specific type may say. */
const plainTypes = ["JWT", "JOSE"];

/**
 * Verifies a signature. Limits come before any work on the value, the signer is the one key of the source that header and key set agree on.
 * @throws {EvidenceRefused} evidenceMalformed · evidenceInvalid
 * @throws {SourceUnavailable} when it cannot be told, because the source's keys are out of reach
 */
export async function verifyCompactJws(value: string, source: TokenSource): Promise<VerifiedJws> {
  const cut = cutCompactJws(value, source);
  const verified =
    (await verifyWith(await source.keys.jwks(), cut)) ??
    // The key may be newer than what is cached.
    (await verifyWith(await source.keys.jwks({ refresh: true }), cut));
  if (verified === undefined) {
    const named = cut.header.kid === undefined ? "The token names no key, and no key" : "No key";
    throw invalid(`${named} of this source has the token's kid and algorithm`);
  }
  return { payload: verified, signingInput: cut.signingInput };
}

/**
 * Takes a value apart by the source's rules; nothing is verified.
 * @throws {EvidenceRefused} evidenceMalformed · evidenceInvalid
 */
export function cutCompactJws(value: string, source: Pick<TokenSource, "format" | "algorithms" | "typ">): CutJws {
  // Before the value is split: one made of dots would become many strings.
  if (value.length > tokenBytesMax) throw malformed(`The token is larger than ${tokenBytesMax} bytes`);
  const parts = value.split(".");
  const [header = "", payload = "", signature = ""] = parts;
  if (parts.length !== 3) throw malformed("The token is not a compact JWS");
  const { alg, kid } = readHeader(header, source);
  if (!isBase64url(payload) || !isBase64url(signature)) throw malformed("The token is not a compact JWS");
  return {
    header: kid === undefined ? { alg } : { alg, kid },
    signingInput: `${header}.${payload}`,
    payload,
    signature,
  };
}

function readHeader(part: string, source: Pick<TokenSource, "format" | "algorithms" | "typ">): Header {
  const header = isBase64url(part) ? parseObject(Buffer.from(part, "base64url")) : undefined;
  if (header === undefined) throw malformed("The token's header is not a JSON object");
  for (const name of forbiddenHeaders) {
    if (!Object.hasOwn(header, name) || ignoredHeaders[source.format]?.includes(name)) continue;
    throw invalid(`The token's header may not have ${name}`);
  }
  const only = onlyHeaders[source.format];
  if (only !== undefined && !Object.keys(header).every((name) => only.includes(name)))
    throw invalid(`The token's header has more than ${only.join(", ")}`);
  const { alg, kid, typ } = header;
  if (typeof alg !== "string" || !source.algorithms.some((accepted) => accepted === alg)) {
    throw invalid("The token's algorithm is not accepted");
  }
  if (kid !== undefined && (typeof kid !== "string" || kid.length > kidCharactersMax)) {
    throw malformed(`The token's kid is not a string of at most ${kidCharactersMax} characters`);
  }
  if (!isAcceptedType(typ, source.typ)) throw invalid("The token's typ is not accepted");
  return { alg, kid };
}

/** RFC 7515 §4.1.9: a media type, compared without regard to case, its `application/` left out when it has no other slash. */
function isAcceptedType(typ: unknown, expected: string | undefined): boolean {
  if (typ === undefined) return expected === undefined;
  if (typeof typ !== "string") return false;
  const accepted = expected === undefined ? plainTypes : [expected];
  return accepted.some((one) => mediaType(one) === mediaType(typ));
}

function mediaType(typ: string): string {
  return (typ.includes("/") ? typ : `application/${typ}`).toLowerCase();
}

/** The payload; undefined when no key of the set fits the header. */
async function verifyWith(
  jwks: JsonWebKeySet,
  { header, signingInput, signature, payload }: CutJws,
): Promise<Uint8Array | undefined> {
  try {
    const key = keyObjectOf(await localKeys(jwks)(header));
    if (!isSignature(header.alg, key, Buffer.from(signingInput, "ascii"), Buffer.from(signature, "base64url"))) {
      throw invalid("The token's signature does not verify");
    }
    return Buffer.from(payload, "base64url");
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) return undefined;
    if (error instanceof errors.JWKSMultipleMatchingKeys) {
      throw invalid("More than one key of this source could have signed the token");
    }
    if (error instanceof errors.JOSEError) throw invalid("The token's signature does not verify");
    throw error;
  }
}

const keyObjects = new WeakMap<CryptoKey, KeyObject>();

function keyObjectOf(key: CryptoKey): KeyObject {
  let known = keyObjects.get(key);
  if (known === undefined) keyObjects.set(key, (known = KeyObject.from(key)));
  return known;
}

/** RFC 7518 §3.3 and §3.5: RSA keys of 2048 bits or more. */
const rsaBitsMin = 2048;

/**
 * RFC 7518 §3.1, RFC 8037 §3.1. `jose` has chosen the one key that fits algorithm and `kid`; the check itself is one synchronous call,
 * a third of what the way through WebCrypto's thread pool costs.
 */
export function isSignature(alg: string, key: KeyObject, input: Buffer, signature: Buffer): boolean {
  const hash = alg === "EdDSA" ? null : `sha${alg.slice(2)}`;
  const { modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  switch (alg.slice(0, 2)) {
    case "ES":
      // P-521 has 66 octets to a coordinate; the other two have as many as their hash.
      return (
        signature.length === (alg === "ES512" ? 132 : Number(alg.slice(2)) / 4) &&
        verify(hash, input, key, ecdsaSigValue(signature))
      );
    case "RS":
      return modulusLength >= rsaBitsMin && verify(hash, input, key, signature);
    case "PS": {
      const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
      return modulusLength >= rsaBitsMin && verify(hash, input, { key, ...padding }, signature);
    }
    default:
      return alg === "EdDSA" && key.asymmetricKeyType === "ed25519" && verify(hash, input, key, signature);
  }
}

type LocalKeys = ReturnType<typeof createLocalJWKSet>;
const imported = new WeakMap<JsonWebKeySet, LocalKeys>();

/** Imported keys live exactly as long as the set they came from, so no source ever sees another's. */
function localKeys(jwks: JsonWebKeySet): LocalKeys {
  let keys = imported.get(jwks);
  if (keys === undefined) {
    keys = createLocalJWKSet({ keys: jwks.keys.map(whatCounts) });
    imported.set(jwks, keys);
  }
  return keys;
}

const keyMembers = ["kid", "alg", "use", "crv", "x", "y", "n", "e"];

/** The rest of a JWK could only make the import fail, and that not as a fault of the key's. */
function whatCounts(jwk: Record<string, unknown>): { kty: string } {
  const members = keyMembers.filter((name) => Object.hasOwn(jwk, name)).map((name) => [name, jwk[name]] as const);
  return { ...Object.fromEntries(members), kty: String(jwk["kty"]) };
}

/** A JSON object from UTF-8 bytes, or undefined: what names a member twice is none, since issuer and we could read it differently. */
export function parseObject(bytes: Uint8Array): Claims | undefined {
  try {
    return parseJsonObject(bytes, "a part of the token");
  } catch (error) {
    if (error instanceof JsonRefused) return undefined;
    throw error;
  }
}

/** RFC 7515 §2: no padding, and no spare bits that would let one value be written in several ways. */
export function isBase64url(part: string): boolean {
  return part !== "" && Buffer.from(part, "base64url").toString("base64url") === part;
}
