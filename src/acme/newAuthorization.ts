/** A pending authorization with its challenges (RFC 8555 §7.1.4), as newOrder and newAuthz make it. */
import { offeredTypes } from "./challenges/offered.ts";
import { problem } from "../problem/problem.ts";
import { named, type AcmeContext, type Candidates } from "./context.ts";
import { isAttested } from "./identifiers.ts";
import type { Challenge, DelegationRecord, Identifier, NewAuthorization } from "./ports.ts";
import { timestamp } from "./resources.ts";

/** What is to be proved: the identifier as it is ordered, or an ancestor that stands for the names below it. */
export interface Wanted {
  readonly identifier: Identifier;
  readonly subdomains: boolean;
}

export interface AuthorizationFacts {
  /** Of the order: evidence gives an identity under one profile. */
  readonly profile: string;
  readonly expiresAt: Date;
  readonly now: Date;
  /** On whose behalf the order is. */
  readonly delegation?: DelegationRecord | undefined;
  /** Of the request, where it stands in for the token that evidence is bound to. */
  readonly nonce?: string;
}

/** `seconds` after `now`, to the second. */
export const later = (now: Date, seconds: number): Date =>
  new Date((Math.floor(now.getTime() / 1000) + seconds) * 1000);

const noCandidates: Pick<Candidates, "accept" | "authorities"> = { accept: [], authorities: [] };

/**
 * Makes it, for an order or a pre-authorization that is open until `expiresAt`.
 */
export function newAuthorization(
  { identifier, subdomains }: Wanted,
  { profile, expiresAt, now, delegation, nonce }: AuthorizationFacts,
  context: AcmeContext,
): NewAuthorization {
  const { type, value } = identifier;
  const wildcard = type === "dns" && value.startsWith("*.");
  const { accept, authorities } = isAttested(type)
    ? context.policy.candidates(value, { profile, order: { delegatedBy: delegation?.source } })
    : noCandidates;
  const challengeEnds = later(now, context.limits.attestationChallengeSeconds);
  const toProve = { type, wildcard, subdomains, byToken: authorities.length > 0 };
  const offered = offeredTypes(toProve, context.options.challenges);
  if (offered.length === 0) {
    const detail = `no challenge that this server offers could prove ${named(identifier)}`;
    throw problem("rejectedIdentifier", detail, { subproblems: [{ code: "rejectedIdentifier", detail, identifier }] });
  }
  return {
    id: context.newId(),
    identifier: wildcard ? { type, value: value.slice(2) } : identifier, // §7.1.4
    wildcard,
    subdomains,
    expiresAt: isAttested(type) ? challengeEnds : expiresAt,
    challenges: offered.map((challengeType): Challenge => {
      const challenge = { type: challengeType, token: context.newToken(), status: "pending" } as const;
      const expires = timestamp(challengeEnds);
      const delegated = delegation && { delegation };
      switch (challengeType) {
        case "workload-attest-01":
          return {
            ...challenge,
            ...delegated,
            ...(nonce !== undefined && { token: nonce }),
            expires,
            binding: "wa1-sha256",
            audience: context.audience,
            accept,
          };
        case "tkauth-01":
          return { ...challenge, ...delegated, expires, "tkauth-type": "atc", ...tokenAuthority(authorities) };
        case "device-attest-01":
          return { ...challenge, ...delegated, expires };
        case "dns-persist-01": {
          const { issuerDomainNames } = context;
          return { ...challenge, issuerDomainNames, "issuer-domain-names": issuerDomainNames };
        }
        default:
          return challenge;
      }
    }),
  };
}

/** RFC 9447 §3 has room for one hint: where there are several authorities, none is told. */
function tokenAuthority([only, ...others]: Candidates["authorities"]): { readonly "token-authority"?: string } {
  return only?.url === undefined || others.length > 0 ? {} : { "token-authority": only.url };
}
