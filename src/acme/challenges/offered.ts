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

/** A function of what is to be proved and what the grants ask for, so that nothing weaker slips in (H-26). */
export function offeredTypes({ type, wildcard, subdomains, byToken }: ToProve): readonly ChallengeType[] {
  switch (type) {
    case "uri":
      return byToken ? ["workload-attest-01", "tkauth-01"] : ["workload-attest-01"];
    case "ip":
      return ["http-01", "tls-alpn-01"]; // RFC 8738 §7: dns-01 cannot prove an address.
    case "dns":
      // What a host serves says nothing of other names: only the zone itself speaks for the names below.
      return wildcard || subdomains ? ["dns-01"] : ["http-01", "dns-01", "tls-alpn-01"];
  }
}
