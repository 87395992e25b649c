/** A pending authorization with its challenges (RFC 8555 §7.1.4), as newOrder and newAuthz make it. */
import { offeredTypes } from "./challenges/offered.ts";
import type { AcmeContext } from "./context.ts";
import type { Challenge, Identifier, NewAuthorization } from "./ports.ts";
import { timestamp } from "./resources.ts";

/** What is to be proved: the identifier as it is ordered, or an ancestor that stands for the names below it. */
export interface Wanted {
  readonly identifier: Identifier;
  readonly subdomains: boolean;
}

/** `seconds` after `now`, to the second. */
export const later = (now: Date, seconds: number): Date =>
  new Date((Math.floor(now.getTime() / 1000) + seconds) * 1000);

/**
 * Makes it, for an order or a pre-authorization that is open until `expiresAt`.
 * @param profile of the order: evidence gives an identity under one profile
 */
export function newAuthorization(
  { identifier, subdomains }: Wanted,
  { profile, expiresAt, now }: { profile: string; expiresAt: Date; now: Date },
  context: AcmeContext,
): NewAuthorization {
  const { type, value } = identifier;
  const wildcard = type === "dns" && value.startsWith("*.");
  const challengeEnds = later(now, context.limits.attestationChallengeSeconds);
  return {
    id: context.newId(),
    identifier: wildcard ? { type, value: value.slice(2) } : identifier, // §7.1.4
    wildcard,
    subdomains,
    expiresAt: type === "uri" ? challengeEnds : expiresAt,
    challenges: offeredTypes({ type, wildcard, subdomains }).map((offered): Challenge => {
      const challenge = { type: offered, token: context.newToken(), status: "pending" } as const;
      if (offered !== "workload-attest-01") return challenge;
      const { accept } = context.policy.candidates(value, profile);
      return {
        ...challenge,
        expires: timestamp(challengeEnds),
        binding: "wa1-sha256",
        audience: context.audience,
        accept,
      };
    }),
  };
}
