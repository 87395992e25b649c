/** The part of the configuration that says who may have which SPIFFE ID: what no schema says of sources and grants. */
import { checkDelegationSource } from "../attestation/delegation.ts";
import type { SourceSettings } from "../attestation/format.ts";
import { checkSource } from "../attestation/registry.ts";
import { sourceFacts, type SourceFacts } from "../attestation/sources.ts";
import { parseGrants, type Grant, type GrantConfiguration } from "../authority/grants.ts";
import type { Profile } from "../authority/profile.ts";
import type { RawConfiguration } from "./schema.ts";

/**
 * Sources, delegation sources and grants, as they belong together.
 * @throws {Error} naming key, value and what was expected
 */
export function readGrants(raw: RawConfiguration, profiles: ReadonlyMap<string, Profile>): Grant[] {
  const sources = new Map<string, SourceFacts>();
  const configured: readonly SourceSettings[] = raw.attestation.sources;
  for (const settings of configured) {
    checkSource(settings, `attestation.sources.${settings.ref}`);
    if (sources.has(settings.ref) || settings.ref === developmentRef) {
      throw new Error(
        `attestation.sources: ref ${JSON.stringify(settings.ref)}: expected a ref that no other source has`,
      );
    }
    requireOneAuthority(settings, configured);
    sources.set(settings.ref, sourceFacts(settings));
  }
  checkDelegations(raw);
  const delegations = raw.delegation.sources.map(({ ref }) => ref);
  const written = [...raw.grants];
  if (raw.attestation.developmentSource) {
    sources.set(developmentRef, sourceFacts({ ref: developmentRef, format: "jwt" }));
    written.push(...developmentGrants(raw.trustDomain, profiles));
  }
  return parseGrants(written, { trustDomain: raw.trustDomain, sources, profiles, delegations });
}

/** A token names no source: its issuer must lead to one. */
function checkDelegations({ delegation: { sources } }: RawConfiguration): void {
  for (const [index, settings] of sources.entries()) {
    const at = `delegation.sources.${settings.ref}`;
    checkDelegationSource(settings, at);
    for (const key of ["ref", "issuer"] as const) {
      if (sources.slice(0, index).some((other) => other[key] === settings[key]))
        throw new Error(`${at}.${key}: ${JSON.stringify(settings[key])}: expected one that no other source has`);
    }
  }
}

/** A tkauth-01 response names no source: the token's issuer must lead to one. */
function requireOneAuthority(settings: SourceSettings, all: readonly SourceSettings[]): void {
  const issuerOf = (one: SourceSettings) => (one as { issuer?: string }).issuer;
  const same = all.filter((other) => other.format === "atc" && issuerOf(other) === issuerOf(settings));
  if (settings.format === "atc" && same.length > 1)
    throw new Error(
      `attestation.sources.${settings.ref}.issuer: ${JSON.stringify(issuerOf(settings))}: expected one that no other source of format atc has`,
    );
}

/** The `ref` of the development evidence source. */
export const developmentRef = "dev";

/** `spiffe://<trust domain>/dev/<subject>` for whoever holds the development issuer's key. */
function developmentGrants(trustDomain: string, profiles: ReadonlyMap<string, Profile>): GrantConfiguration[] {
  const profile = [...profiles.values()].find(({ identifiers }) => identifiers.includes("uri"));
  if (profile === undefined) return [];
  return [
    {
      name: "development",
      spiffeId: `spiffe://${trustDomain}/dev/{sub}`,
      source: developmentRef,
      minBinding: "bearer",
      profile: profile.name,
      recordClaims: ["iss", "sub"],
    },
  ];
}
