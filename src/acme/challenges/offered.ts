/** Which challenges may prove what. */
import type { ChallengeType, Identifier } from "../ports.ts";

export interface ToProve {
  readonly type: Identifier["type"];
  /** The name stands for every label in front of the base name (RFC 8555 §7.1.3). */
  readonly wildcard: boolean;
  /** The name stands for all names below it (RFC 9444). */
  readonly subdomains: boolean;
  /** A grant would give the identity to the token of an authority. */
  readonly byToken: boolean;
}

const evidenceChallenges = ["workload-attest-01", "tkauth-01", "device-attest-01"] as const satisfies ChallengeType[];
export type EvidenceChallenge = (typeof evidenceChallenges)[number];

/** True for a challenge whose response is the proof: nothing is fetched for it. */
export const isAnsweredByEvidence = (type: ChallengeType): type is EvidenceChallenge =>
  evidenceChallenges.some((one) => one === type);

/** Challenges for DNS names and addresses; which of them are offered is the operator's choice. */
export type NameChallenge = Exclude<ChallengeType, EvidenceChallenge>;

/** Only the zone itself speaks for the names below: what a host serves says nothing of other names. */
const ofTheZone: readonly NameChallenge[] = ["dns-01", "dns-account-01", "dns-persist-01"];

/**
 * A function of what is to be proved, what the grants ask for and what the operator permits, so that nothing weaker slips in (H-26).
 * None when nothing that is permitted could prove it.
 */
export function offeredTypes(
  { type, wildcard, subdomains, byToken }: ToProve,
  permitted: readonly NameChallenge[],
): readonly ChallengeType[] {
  switch (type) {
    case "uri":
      return byToken ? ["workload-attest-01", "tkauth-01"] : ["workload-attest-01"];
    case "permanent-identifier":
      return ["device-attest-01"];
    case "ip":
      return permitted.filter((challenge) => !ofTheZone.includes(challenge)); // RFC 8738 §7: the DNS cannot prove an address.
    case "dns":
      return wildcard || subdomains ? permitted.filter((challenge) => ofTheZone.includes(challenge)) : permitted;
  }
}
