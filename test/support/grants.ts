/** Grants to try out: sources of every kind, one grant to start from, and evidence with claims of one's choice. */
import type { BindingLevel, Claims, VerifiedEvidence } from "../../src/attestation/evidence.ts";
import type { SourceFacts } from "../../src/attestation/sources.ts";
import { decideGrant } from "../../src/authority/grantDecision.ts";
import {
  parseGrant,
  type Grant,
  type GrantConfiguration,
  type GrantOrigin,
  type GrantSurroundings,
} from "../../src/authority/grants.ts";
import { sourceFactsOf } from "./issuers.ts";

export const trustDomain = "mayfly.localhost";
const anyClaims = sourceFactsOf({});

export const surroundings: GrantSurroundings = {
  trustDomain,
  sources: new Map<string, SourceFacts>([
    ["dev", anyClaims],
    ["other", anyClaims],
    ["shared", { ...anyClaims, tenantClaims: ["owner_id", "sub"] }],
    ["east", sourceFactsOf({ format: "k8s", claimNames: ["namespace", "serviceAccount", "podUid"] })],
  ]),
  profiles: new Map([
    ["workload", { identifiers: ["uri"], lifetimeMinSeconds: 60, lifetimeMaxSeconds: 3600 }],
    ["server", { identifiers: ["dns"], lifetimeMinSeconds: 60, lifetimeMaxSeconds: 3600 }],
  ]),
};

/** `/dev/{sub}` for the source `dev`. */
export const dev: GrantConfiguration = {
  name: "dev",
  spiffeId: `spiffe://${trustDomain}/dev/{sub}`,
  source: "dev",
  minBinding: "bearer",
  profile: "workload",
};

/** The grant `dev`, with changes. */
export const grant = (change: Partial<GrantConfiguration> = {}, origin?: GrantOrigin): Grant =>
  parseGrant({ ...dev, ...change }, surroundings, origin);

/** The grant `dev` with another path. */
export const templated = (path: string): Grant => grant({ spiffeId: id(path) });

/** A SPIFFE ID of the trust domain. */
export const id = (path: string): string => `spiffe://${trustDomain}/${path}`;

/** Evidence that was verified. */
export function verified(claims: Claims, bindingLevel: BindingLevel = "nonce", ref = "dev"): VerifiedEvidence {
  const none = Buffer.alloc(32);
  return { format: "jwt", ref, claims, bindingLevel, digest: none, oneTimeId: none, replayUntil: new Date(0) };
}

/** "allowed", or the code of the refusal. */
export function outcome(grants: readonly Grant[], spiffeId: string, ...evidence: VerifiedEvidence[]): string {
  const decision = decideGrant(grants, spiffeId, evidence);
  return "refused" in decision ? decision.refused : "allowed";
}
