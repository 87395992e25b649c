/** Grants and verified evidence, joined into the one policy that the ACME room asks. */
import {
  EvidenceRefused,
  meetsBindingLevel,
  type EvidenceItem,
  type VerificationContext,
  type VerifiedEvidence,
} from "../attestation/evidence.ts";
import type { Verifier } from "../attestation/verify.ts";
import type { CurrentGrant } from "./authorize.ts";
import { acceptFor, decideGrant, isDelegated, recordedClaims } from "./grantDecision.ts";
import { indexGrants, type GrantIndex } from "./grantIndex.ts";
import type { Grant } from "./grants.ts";

/** What an order brings: a profile, and perhaps a delegation. Where it is not said, any will do. */
export interface CandidateQuestion {
  readonly profile?: string;
  readonly order?: { readonly delegatedBy: string | undefined };
}

export function createIdentityPolicy({
  trustDomain,
  grants,
  verifier,
  onRefused,
  reread = async () => undefined,
}: {
  trustDomain: string;
  /** As they read now: configured ones, and those of the database. */
  grants: () => readonly Grant[];
  verifier: Verifier;
  /** For the operator's log: the grant that came nearest and what it missed. */
  onRefused: (spiffeId: string, nearest: object) => void;
  /** Brings `grants` up to date. */
  reread?: () => Promise<void>;
}) {
  let known: GrantIndex | undefined;
  /** Made anew only when the grants have changed. */
  function index(): GrantIndex {
    const list = grants();
    if (known?.grants !== list) known = indexGrants(list);
    return known;
  }
  let last: { readonly index: GrantIndex; readonly identifier: string; readonly able: readonly Grant[] } | undefined;
  /** One request asks several times for one identifier. */
  function ableTo(identifier: string): readonly Grant[] {
    const now = index();
    if (last?.index !== now || last.identifier !== identifier)
      last = { index: now, identifier, able: now.ableTo(identifier) };
    return last.able;
  }
  return {
    trustDomain,
    candidates(spiffeId: string, { profile, order }: CandidateQuestion = {}) {
      const able = ableTo(spiffeId).filter(
        (grant) =>
          (profile ?? grant.profile) === grant.profile &&
          (order === undefined || isDelegated(grant, order.delegatedBy)),
      );
      const accept = acceptFor(able, verifier.sources, spiffeId);
      return {
        accept,
        // H-26: a grant that asks for more than a token bound to the account key makes no authority.
        authorities: accept
          .filter((one) => one.format === "atc" && meetsBindingLevel("key", one.minBinding) && one.with === undefined)
          .map(({ ref }) => ({ ref, url: verifier.sources.get(ref)?.tokenAuthorityUrl })),
        profiles: [...new Set(able.map((grant) => grant.profile))],
      };
    },
    authorityOf: (token: string, refs: readonly string[]) => verifier.authorityOf(token, refs)?.ref,
    hasSource: (ref: string) => verifier.sources.has(ref),
    verify: (item: EvidenceItem, context: VerificationContext) => verifier.verify(item, context),
    activate: (...asked: Parameters<Verifier["activate"]>) => verifier.activate(...asked),
    /** @throws {EvidenceRefused} */
    decide(
      spiffeId: string,
      { profile, delegatedBy }: { profile: string; delegatedBy: string | undefined },
      verified: readonly VerifiedEvidence[],
    ) {
      const decision = decideGrant(
        ableTo(spiffeId).filter((grant) => grant.profile === profile && isDelegated(grant, delegatedBy)),
        spiffeId,
        verified,
      );
      if ("refused" in decision) {
        if (decision.nearest !== undefined) onRefused(spiffeId, decision.nearest);
        throw new EvidenceRefused(decision.refused, decision.message);
      }
      const { grant, evidence } = decision;
      return {
        grant: grant.name,
        grantVersion: grant.version,
        grantOrigin: grant.origin,
        evidence,
        pinning: grant.pinning,
        renewal: grant.renewal,
        recordedClaims: recordedClaims(grant, evidence[0].claims),
      };
    },
    grants: (): ReadonlyMap<string, CurrentGrant> => index().byName,
    reread,
  };
}
