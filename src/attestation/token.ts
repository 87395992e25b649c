/**
 * JSON Web Tokens as evidence (RFC 7519, RFC 8725): what every token format has in common.
 */
import { createHash } from "node:crypto";
import { parseObject, verifyCompactJws, type VerifiedJws } from "./compactJws.ts";
import {
  type BindingLevel,
  claimOf,
  type Claims,
  type ClaimValue,
  type EvidenceItem,
  EvidenceRefused,
  invalid,
  malformed,
  type VerificationContext,
} from "./evidence.ts";
import type { TokenSource } from "./tokenSource.ts";

/** A token whose signature, issuer, times and audience are good. */
export interface VerifiedToken {
  readonly claims: Claims;
  readonly bindingLevel: BindingLevel;
  readonly digest: Buffer;
  readonly oneTimeId: Buffer;
  readonly replayUntil: Date;
  readonly expires: Date;
}

/** What a token may leave out. */
export interface TokenRules {
  /** Ignored where something else says whose token it is. */
  readonly iss?: "required" | "ignored";
  /** Without `iat` the lifetime is counted from now, and the age is not known. */
  readonly iat: "required" | "optional";
  readonly aud: "required" | "optional";
  readonly jti: "required" | "optional";
}

/** Platforms put an audience and the time of issuance into every token, and an id into some. */
export const platformToken: TokenRules = { iat: "required", aud: "required", jti: "optional" };

const depthMax = 16;
const jtiCharactersMax = 256;

/** What vouches for the octets of a token: a signature, unless its issuer is asked. */
export type VerifyJws = (value: string, source: TokenSource) => Promise<VerifiedJws>;

/**
 * Verifies a token: signature first, then claims from the signed bytes only.
 * @throws {EvidenceRefused} evidenceMalformed · evidenceInvalid · evidenceExpired · bindingMismatch
 * @throws {SourceUnavailable}
 */
export async function verifyToken(
  { value }: EvidenceItem,
  source: TokenSource,
  context: VerificationContext,
  rules = platformToken,
  verifyJws: VerifyJws = verifyCompactJws,
): Promise<VerifiedToken> {
  const { payload, signingInput } = await verifyJws(value, source);
  const claims = readClaims(payload);
  if (rules.iss !== "ignored" && claimOf(claims, "iss") !== source.issuer)
    throw invalid("The token's issuer is not that of the source");
  const expSeconds = requireTimes(claims, source, context.now, rules);
  const bindingLevel = bindingLevelOf(claimOf(claims, "aud"), source, context, rules);
  if (rules.jti === "required" && claimOf(claims, "jti") === undefined) throw invalid("The token has no jti");
  return {
    claims,
    bindingLevel,
    digest: createHash("sha256").update(value).digest(),
    oneTimeId: oneTimeIdOf(source.ref, claimOf(claims, "jti"), signingInput),
    replayUntil: new Date((expSeconds + source.clockSkewSeconds) * 1000),
    expires: new Date(expSeconds * 1000),
  };
}

function readClaims(payload: Uint8Array): Claims {
  const claims = parseObject(payload);
  if (claims === undefined) throw malformed("The token's payload is not a JSON object");
  requireShallow(claims);
  return claims;
}

/** Whoever walks or writes the claims later does so by recursion. Here it is a loop, one level at a time. */
function requireShallow(claims: object): void {
  let level: object[] = [claims];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth === depthMax) throw malformed(`The token's claims are nested more than ${depthMax} levels deep`);
    level = level
      .flatMap((value) => Object.values(value))
      .filter((value) => typeof value === "object" && value !== null);
  }
}

/** RFC 7519 §4.1.4–4.1.6, with `exp` mandatory and both age and lifetime limited. Returns `exp` in seconds. */
function requireTimes(claims: Claims, source: TokenSource, now: Date, rules: TokenRules): number {
  const nowSeconds = now.getTime() / 1000;
  const skewSeconds = source.clockSkewSeconds;
  const exp = requireNumericDate(claims, "exp");
  const dated = rules.iat === "required" || claimOf(claims, "iat") !== undefined;
  const iat = dated ? requireNumericDate(claims, "iat") : Math.min(nowSeconds, exp);
  const nbf = claimOf(claims, "nbf") === undefined ? iat : requireNumericDate(claims, "nbf");
  if (exp <= nowSeconds - skewSeconds) throw new EvidenceRefused("evidenceExpired", "The token has expired");
  if (nbf > nowSeconds + skewSeconds) throw invalid("The token is not yet valid");
  if (iat > nowSeconds + skewSeconds) throw invalid("The token is from the future");
  if (nowSeconds - iat > source.maxAgeSeconds + skewSeconds) {
    throw new EvidenceRefused("evidenceExpired", "The token was issued too long ago");
  }
  if (exp - iat > source.maxLifetimeSeconds) throw invalid("The token's lifetime is too long");
  return exp;
}

/** JSON has no NaN, but 1e400 becomes Infinity, which no comparison above would catch. */
function requireNumericDate(claims: Claims, name: string): number {
  const value = claimOf(claims, name);
  if (typeof value !== "number" || !Number.isFinite(value)) throw invalid(`The token has no ${name} that is a number`);
  return value;
}

/** Exactly one audience, which is ours and nobody else's: a token for two could be used by either at the other. */
function bindingLevelOf(
  aud: ClaimValue | undefined,
  source: TokenSource,
  { audience, binding }: VerificationContext,
  rules: TokenRules,
): BindingLevel {
  if (aud === undefined && rules.aud === "optional") return "document";
  const only = Array.isArray(aud) && aud.length === 1 ? aud[0] : aud;
  if (typeof only !== "string") throw invalid("The token does not have exactly one audience");
  if (binding !== undefined && only === `${audience}/${binding}`) return "nonce";
  if (only === (source.audience ?? audience)) return "bearer";
  if (only.startsWith(`${audience}/`)) {
    throw new EvidenceRefused("bindingMismatch", "The token is bound to another challenge, account or key");
  }
  throw invalid("The token's audience is not this server");
}

/**
 * What may be used once: the token's id at its source, or else what was signed. The signature itself is left out, because whoever
 * holds an ECDSA signature can make a second one of it.
 */
function oneTimeIdOf(ref: string, jti: ClaimValue | undefined, signingInput: string): Buffer {
  const hash = createHash("sha256");
  // A ref has no NUL, so the three parts cannot run into each other.
  if (jti === undefined) return hash.update(`jws\0${ref}\0${signingInput}`).digest();
  if (typeof jti !== "string" || jti === "" || jti.length > jtiCharactersMax) {
    throw malformed(`The token's jti is not a string of 1 to ${jtiCharactersMax} characters`);
  }
  return hash.update(`jti\0${ref}\0${jti}`).digest();
}
