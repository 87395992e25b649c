/**
 * The JWS by which somebody proves to have a certificate's key (docs/workload-attest-01.md, format x509-pop): compact, with the chain in `x5c`.
 * Read strictly and within limits; whose it is, is another question.
 */
import type { KeyObject } from "node:crypto";
import { isBase64url, isSignature, parseObject } from "./compactJws.ts";
import { type Claims, EvidenceRefused, invalid, malformed } from "./evidence.ts";
import { intermediatesMax } from "./certificateChain.ts";

/** Explicit, so that no other JWS by the same key is ever taken for one (RFC 8725 §3.11). */
const possessionType = "acme-wa-pop+jws";
/** Most octets of the JWS; the leaf and four intermediates of a kilobyte or two fit several times. */
const possessionBytesMax = 65_536;
/** Seconds from `iat` to `exp` at most. */
export const possessionSecondsMax = 300;

/** What may stand in the header: everything else could change what is signed or bring keys along. */
const headers = new Set(["alg", "typ", "x5c"]);

export interface PossessionJws {
  readonly alg: string;
  /** DER, the leaf first. */
  readonly certificates: readonly [Buffer, ...Buffer[]];
  /** BASE64URL(header) "." BASE64URL(payload): what was signed. */
  readonly signingInput: Buffer;
  readonly signature: Buffer;
  /** Not to be looked at before the signature has been verified. */
  readonly payload: Buffer;
}

/**
 * Cuts the JWS into its parts. No certificate is read here, and nothing is verified.
 * @throws {EvidenceRefused} evidenceMalformed, or evidenceInvalid for a header that is not taken
 */
export function readPossessionJws(value: string): PossessionJws {
  // Before the value is split: one made of dots would become many strings.
  if (value.length > possessionBytesMax) throw malformed(`The proof has more than ${possessionBytesMax} bytes`);
  const parts = value.split(".");
  const [header = "", payload = "", signature = ""] = parts;
  if (parts.length !== 3 || !parts.every(isBase64url)) throw malformed("The proof is not a compact JWS");
  const members = parseObject(Buffer.from(header, "base64url"));
  if (members === undefined) throw malformed("The proof's header is not a JSON object");
  if (Object.keys(members).some((name) => !headers.has(name)))
    throw invalid("The proof's header has other members than alg, typ and x5c");
  const { alg, typ, x5c } = members;
  if (typ !== possessionType) throw invalid(`The proof's typ is not ${possessionType}`);
  if (typeof alg !== "string") throw invalid("The proof's algorithm is not accepted");
  return {
    alg,
    certificates: readX5c(x5c),
    signingInput: Buffer.from(`${header}.${payload}`, "ascii"),
    signature: Buffer.from(signature, "base64url"),
    payload: Buffer.from(payload, "base64url"),
  };
}

/** RFC 7515 §4.1.6: base64, not base64url, each. */
function readX5c(x5c: Claims[string] | undefined): PossessionJws["certificates"] {
  if (!Array.isArray(x5c)) throw malformed("The proof's x5c is not a list");
  if (x5c.length > intermediatesMax + 1)
    throw malformed(`The proof's x5c has more than ${intermediatesMax + 1} entries`);
  const [leaf, ...others] = x5c.map((text: unknown) => {
    const der = typeof text === "string" ? Buffer.from(text, "base64") : undefined;
    if (der === undefined || der.length === 0 || der.toString("base64") !== text)
      throw malformed("An entry of the proof's x5c is not base64");
    return der;
  });
  if (leaf === undefined) throw malformed("The proof's x5c is empty");
  return [leaf, ...others];
}

/**
 * Verifies the signature with the leaf's key, by an algorithm that the key allows.
 * @throws {EvidenceRefused} evidenceInvalid
 */
export function requirePossession({ alg, signingInput, signature }: PossessionJws, key: KeyObject): void {
  if (!algorithmsOf(key).includes(alg)) throw invalid("The proof's algorithm is not one of the certificate's key");
  if (!isSignature(alg, key, signingInput, signature)) throw invalid("The proof's signature does not verify");
}

/** A closed list, fixed by the key (RFC 7518 §3.1, RFC 8037 §3.1). */
function algorithmsOf({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): readonly string[] {
  const curve = asymmetricKeyDetails?.namedCurve;
  if (asymmetricKeyType === "ed25519") return ["EdDSA"];
  if (asymmetricKeyType === "rsa") return ["PS256", "RS256"];
  if (curve === "prime256v1") return ["ES256"];
  if (curve === "secp384r1") return ["ES384"];
  return curve === "secp521r1" ? ["ES512"] : [];
}

/** What the proof says: for whom, about which challenge, from when to when. Times in seconds since 1970. */
export interface PossessionClaims {
  readonly aud: string;
  readonly binding: string;
  readonly iat: number;
  readonly exp: number;
}

/**
 * Reads the payload; other members are ignored.
 * @throws {EvidenceRefused} evidenceMalformed · bindingMissing
 */
export function readPossessionClaims(payload: Buffer): PossessionClaims {
  const { aud, binding, iat, exp } = parseObject(payload) ?? notAnObject();
  if (typeof aud !== "string") throw malformed("The proof's aud is not a string");
  if (binding === undefined) throw new EvidenceRefused("bindingMissing", "The proof has no binding");
  if (typeof binding !== "string") throw malformed("The proof's binding is not a string");
  if (!isTime(iat) || !isTime(exp)) throw malformed("The proof needs iat and exp, numbers of seconds");
  return { aud, binding, iat, exp };
}

const isTime = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

function notAnObject(): never {
  throw malformed("The proof's payload is not a JSON object");
}
