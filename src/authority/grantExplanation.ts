/** Why grants give an identity or do not: the decision of `grantDecision.ts`, with every check written out. Pure. */
import type { VerifiedEvidence } from "../attestation/evidence.ts";
import {
  checksOf,
  couldDeriveBy,
  decideGrant,
  isDelegated,
  verdictOf,
  type Check,
  type GrantAllows,
  type GrantRefuses,
} from "./grantDecision.ts";
import { readIdentity } from "./grantedIdentity.ts";
import type { Grant } from "./grants.ts";

/** One grant and one piece of evidence of its source. */
export interface GrantAttempt {
  readonly evidence: VerifiedEvidence;
  /** All of them, in the order in which they are made. */
  readonly checks: readonly Check[];
  readonly allows: boolean;
}

/** Its template never makes this identity, it is of another profile, or it asks for a delegation that the order does not carry. */
export type PassedOver = "shape" | "profile" | "delegation";

export interface GrantExplanation {
  readonly grant: Grant;
  /** Why it was not asked; undefined where it was. */
  readonly passedOver: PassedOver | undefined;
  /** None where nothing of its source was shown. */
  readonly attempts: readonly GrantAttempt[];
  readonly allows: boolean;
}

export interface Explanation {
  readonly decision: GrantAllows | GrantRefuses;
  /** Of every grant, in the order in which they are asked. */
  readonly grants: readonly GrantExplanation[];
}

/** Explains what `decideGrant` decides for an order under this profile, or under any, on behalf of this source's delegation, or of none. */
export function explainGrants(
  grants: readonly Grant[],
  spiffeId: string,
  order: { readonly profile: string | undefined; readonly delegatedBy?: string | undefined },
  verified: readonly VerifiedEvidence[],
): Explanation {
  const id = readIdentity(spiffeId);
  const passedOver = (grant: Grant): PassedOver | undefined => {
    if (!couldDeriveBy(grant, id)) return "shape";
    if ((order.profile ?? grant.profile) !== grant.profile) return "profile";
    return isDelegated(grant, order.delegatedBy) ? undefined : "delegation";
  };
  return {
    decision: decideGrant(
      grants.filter((grant) => passedOver(grant) === undefined),
      spiffeId,
      verified,
    ),
    grants: grants.map((grant) => {
      const why = passedOver(grant);
      const shown = why === undefined ? verified.filter(({ ref }) => ref === grant.source) : [];
      const attempts = shown.map((evidence) => {
        const checks = [...checksOf(grant, spiffeId, evidence, verified)];
        return { evidence, checks, allows: !("missed" in verdictOf(grant, evidence, checks)) };
      });
      return { grant, passedOver: why, attempts, allows: attempts.some(({ allows }) => allows) };
    }),
  };
}
