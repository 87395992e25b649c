/** The challenges that are offered for DNS names and addresses, and the names of this CA that dns-persist-01 needs. */
import { isIP } from "node:net";

/** For DNS names and addresses; the ACME room knows them by the same names. */
export const offerableChallenges = ["http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01"] as const;

/** RFC 8555's meta and the draft's challenge object have room for so many. */
const namesMax = 10;

export interface ChallengeConfiguration {
  readonly challenges: readonly string[];
  readonly caaIdentities: readonly string[];
  readonly issuerDomainNames: readonly string[];
}

/**
 * A domain namespace is proved by DNS alone (RFC 9444 §4.1).
 * @throws {Error} naming key, value and what was expected
 */
export function checkSubdomainChallenges({ challenges, subdomainAuthorizations }: SubdomainConfiguration): void {
  if (!subdomainAuthorizations || challenges.some((name) => name.startsWith("dns-"))) return;
  const dns = offerableChallenges.filter((name) => name.startsWith("dns-")).join(", ");
  throw new Error(`acme.subdomainAuthorizations: true: expected one of ${dns} in acme.challenges, which it needs`);
}

export interface SubdomainConfiguration {
  readonly challenges: readonly string[];
  readonly subdomainAuthorizations: boolean;
}

/**
 * Issuer domain names of dns-persist-01 (draft-ietf-acme-dns-persist-02 §3.2): the configured ones, or those of CAA, or the host of
 * the external URL.
 * @throws {Error} naming key, value and what was expected
 */
export function readIssuerDomainNames(configured: ChallengeConfiguration, externalUrl: string): readonly string[] {
  const { challenges, caaIdentities, issuerDomainNames } = configured;
  const host = new URL(externalUrl).hostname;
  const hosts = isIP(host.replace(/^\[|\]$/g, "")) === 0 ? [host] : [];
  const own = caaIdentities.length > 0 ? caaIdentities : hosts;
  const names = issuerDomainNames.length > 0 ? issuerDomainNames : own.slice(0, namesMax);
  if (!challenges.includes("dns-persist-01")) return names;
  if (names.length === 0)
    throw new Error("acme.issuerDomainNames: is missing: expected a name of this CA, which dns-persist-01 needs");
  const unknown = names.find((name) => caaIdentities.length > 0 && !caaIdentities.includes(name));
  if (unknown !== undefined)
    throw new Error(`acme.issuerDomainNames: "${unknown}": expected a name that acme.caaIdentities has as well`);
  return names;
}
