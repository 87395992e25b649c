/** Drafts, each under its number, and what is our own. */
import { must, notApplicable, own, type RequirementList } from "../requirement.ts";

export const profiles: RequirementList = {
  document: "draft-ietf-acme-profiles-01",
  requirements: {
    "RPROF-1": must("meta profiles: name → description"),
    "RPROF-2": must("A named profile is honoured and shown in the order"),
    "RPROF-3": must("Without one the server chooses, and shows its choice"),
    "RPROF-4": must("An unknown one → invalidProfile"),
    "RPROF-5": own("A profile that changed between order and finalize is refused"),
    "RPROF-6": own("A profile lists what it allows: identifier types, keys, lifetimes"),
  },
};

export const deviceAttest: RequirementList = {
  document: "draft-ietf-acme-device-attest-09",
  requirements: {
    "RDA-1": must("Identifier permanent-identifier by the draft's grammar, else malformed; compared octet for octet"),
    "RDA-2": must("Challenge device-attest-01 with attObj, unknown members ignored"),
    "RDA-3": must("Evidence: format, trust, binding and identity are verified; else badAttestationStatement"),
    "RDA-4": must("Attester trusted, attested key the CSR's, attested identity the order's: all three"),
    "RDA-5": own("Raw evidence is not kept"),
    "RDA-6": own("A permanent identifier may be left out of the CSR; one that is there is the order's"),
    "RDA-7": notApplicable("Identifier hardware-module", "no device that was asked for has one"),
  },
};

export const dnsPersist: RequirementList = {
  document: "draft-ietf-acme-dns-persist-02 (dns-persist-01), where configured",
  requirements: {
    "RDP-1": must("Offered for DNS names where configured, with the names of this CA; never otherwise"),
    "RDP-2": must("A TXT record at _validation-persist names one of these issuers and this account, and counts"),
    "RDP-3": must("Without accounturi, or with another account's, it does not count"),
    "RDP-4": must("A wildcard needs policy=wildcard"),
    "RDP-5": must(
      "A record past its persistUntil, or with one that is no time, does not count; the authorization ends with it",
    ),
    "RDP-6": must("Unknown parameters are ignored; a record that is malformed does not count, and others still may"),
  },
};

export const dnsAccount: RequirementList = {
  document: "draft-ietf-acme-dns-account-label-03 (dns-account-01), where configured",
  requirements: {
    "RDAL-1": must("Offered for DNS names where configured, wildcards too; never otherwise"),
    "RDAL-2": must("The record's label has the base32 of the first ten octets of the account URL's SHA-256"),
    "RDAL-3": must("Its value is that of dns-01; a record under another account's label does not count"),
  },
};

export const rats: RequirementList = {
  document: "draft-ietf-acme-rats",
  requirements: {
    "RRATS-1": notApplicable("Challenge remote-attest-01", "immature; workload-attest-01 does this for workloads"),
  },
};

export const uriIdentifier: RequirementList = {
  document: "Identifier type uri and workload-attest-01 (our own)",
  requirements: {
    "RURI-1": must("A SPIFFE ID to the letter, compared by octet, one per order"),
    "RURI-2": must("The CSR has exactly this one URI"),
    "RURI-3": must("Proved by attestation only, never by http-01, dns-01 or tls-alpn-01"),
    "RURI-4": must("Our own error types are outside the ACME namespace"),
    "RURI-5": must("A uri and a name of similar text prove nothing for each other"),
  },
};
