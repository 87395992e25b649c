/** Why grants give an identity or do not: the decision of `grantDecision.ts`, with every check written out. Pure. */
import type { VerifiedEvidence } from "../attestation/evidence.ts";
import {
  checksOf,
  couldDeriveBy,
  decideGrant,
  readIdentity,
  verdictOf,
  type Check,
  type GrantAllows,
  type GrantRefuses,
} from "./grantDecision.ts";
import type { Grant } from "./grants.ts";

/** One grant and one piece of evidence of its source. */
export interface GrantAttempt {
  readonly evidence: VerifiedEvidence;
  /** All of them, in the order in which they are made. */
  readonly checks: readonly Check[];
  readonly allows: boolean;
}

export interface GrantExplanation {
  readonly grant: Grant;
  /** Why it was not asked: it is of another profile, or its template never makes this identity. Undefined where it was asked. */
  readonly passedOver: "profile" | "shape" | undefined;
  /** None where nothing of its source was shown. */
  readonly attempts: readonly GrantAttempt[];
  readonly allows: boolean;
}

export interface Explanation {
  readonly decision: GrantAllows | GrantRefuses;
  /** Of every grant, in the order in which they are asked. */
  readonly grants: readonly GrantExplanation[];
}

/**
 * Explains what `decideGrant` decides.
 * @param profile - of the order; undefined asks the grants of all profiles
 */
export function explainGrants(
  grants: readonly Grant[],
  spiffeId: string,
  profile: string | undefined,
  verified: readonly VerifiedEvidence[],
): Explanation {
  const id = readIdentity(spiffeId);
  const ofProfile = (grant: Grant): boolean => (profile ?? grant.profile) === grant.profile;
  return {
    decision: decideGrant(grants.filter(ofProfile), spiffeId, verified),
    grants: grants.map((grant) => {
      const passedOver = !couldDeriveBy(grant, id) ? "shape" : ofProfile(grant) ? undefined : "profile";
      if (passedOver !== undefined) return { grant, passedOver, attempts: [], allows: false };
      const attempts = verified
        .filter(({ ref }) => ref === grant.source)
        .map((evidence) => {
          const checks = [...checksOf(grant, spiffeId, evidence, verified)];
          return { evidence, checks, allows: !("missed" in verdictOf(grant, evidence, checks)) };
        });
      return { grant, passedOver, attempts, allows: attempts.some(({ allows }) => allows) };
    }),
  };
}
