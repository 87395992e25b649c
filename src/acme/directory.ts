/** The directory (RFC 8555 §7.1.1) and newNonce (§7.2): answered from memory. */
import { randomBytes } from "node:crypto";

import type { Profile } from "../authority/profile.ts";
import type { Urls } from "./urls.ts";

export interface DirectoryFacts {
  readonly urls: Urls;
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly website: string;
  readonly termsOfService: string | undefined;
  /** Domain names by which CAA records name this CA (RFC 8555 §7.1.1); none where the records are not looked at. */
  readonly caaIdentities: readonly string[];
  /** Of dns-persist-01, where it is offered (draft-ietf-acme-dns-persist-02 §3.2). */
  readonly issuerDomainNames: readonly string[] | undefined;
  readonly externalAccountRequired: boolean;
  /** RFC 9444 §4.4. */
  readonly subdomainAuthorizations: boolean;
  readonly workloadAttestation: {
    readonly trustDomain: string;
    readonly formats: readonly string[];
    readonly audience: string;
    /** Whether newOrder takes a delegation. */
    readonly delegation: boolean;
  };
}

/** The directory object. Public, so it names no issuer, cluster or tenant. */
export function directory(facts: DirectoryFacts): object {
  const { urls, profiles, website, termsOfService, workloadAttestation } = facts;
  return {
    newNonce: urls.newNonce,
    newAccount: urls.newAccount,
    newAuthz: urls.newAuthz,
    newOrder: urls.newOrder,
    revokeCert: urls.revokeCert,
    keyChange: urls.keyChange,
    renewalInfo: urls.renewalInfo,
    // A key nobody knows, another one at each start: clients must tolerate what they do not understand.
    [randomBytes(8).toString("base64url")]: "https://www.rfc-editor.org/rfc/rfc8555#section-7.1.1",
    meta: {
      ...(termsOfService !== undefined && { termsOfService }),
      website,
      ...(facts.caaIdentities.length > 0 && { caaIdentities: facts.caaIdentities }),
      ...(facts.issuerDomainNames && {
        issuerDomainNames: facts.issuerDomainNames,
        accountHashPrefix: urls.accountHashPrefix,
      }),
      externalAccountRequired: facts.externalAccountRequired,
      ...(facts.subdomainAuthorizations && { subdomainAuthAllowed: true }),
      profiles: Object.fromEntries([...profiles.values()].map(({ name, description }) => [name, description])),
      workloadAttestation: {
        version: 1,
        identifierTypes: ["uri"],
        schemes: ["spiffe"],
        trustDomains: [workloadAttestation.trustDomain],
        challenge: "workload-attest-01",
        formats: workloadAttestation.formats,
        audience: workloadAttestation.audience,
        binding: "wa1-sha256",
        inlineEvidence: true,
        ...(workloadAttestation.delegation && { delegation: true }),
      },
    },
  };
}
