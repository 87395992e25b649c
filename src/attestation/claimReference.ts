/** How settings and grants name a claim. Pure. */
import { claimOf, isClaims, type Claims, type ClaimValue } from "./evidence.ts";

/** Names a claim: a member's name, or a JSON Pointer (RFC 6901) into nested objects when it begins with a slash. */
export type ClaimReference = string;

/** True for a name without control characters, braces and bars, or a JSON Pointer with legal escapes. */
export function isClaimReference(text: string): boolean {
  if (text.length > 256 || !/^[^\p{Cc}{}|]+$/u.test(text)) return false;
  return !text.startsWith("/") || /^(?:\/(?:[^~/]|~[01])*)+$/.test(text);
}

/** The claim's value, undefined when it is absent. Pointers lead through objects only, never into arrays. */
export function readClaim(claims: Claims, reference: ClaimReference): ClaimValue | undefined {
  if (!reference.startsWith("/")) return claimOf(claims, reference);
  let value: ClaimValue | undefined = claims;
  for (const token of reference.slice(1).split("/")) {
    if (!isClaims(value)) return undefined;
    value = claimOf(value, token.replaceAll("~1", "/").replaceAll("~0", "~"));
  }
  return value;
}
