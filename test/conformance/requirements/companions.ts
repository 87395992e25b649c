/** The RFCs around RFC 8555. */
import { must, notApplicable, own, should, type RequirementList } from "../requirement.ts";

const star =
  "short-term renewal with the same key and no new evidence goes on after the workload has died; left out on purpose";

export const rfc8737: RequirementList = {
  document: "RFC 8737 tls-alpn-01",
  requirements: {
    "R8737-1": must("Port 443, SNI of the name, and acme-tls/1 as the only protocol offered"),
    "R8737-2": must("TLS 1.2 or later"),
    "R8737-3": must("The target must select acme-tls/1"),
    "R8737-4": must("The certificate names the one name and nothing else, whatever its case"),
    "R8737-5": must("A critical acmeIdentifier holds the digest of the key authorization, as DER and once"),
    "R8737-6": must("The certificate is self-signed"),
    "R8737-7": must("No application data; closed right after the handshake"),
  },
};

export const rfc8738: RequirementList = {
  document: "RFC 8738 IP identifiers",
  requirements: {
    "R8738-1": must("An address has one text: dotted decimal, or RFC 5952"),
    "R8738-2": must("http-01 goes to that address, with it as Host"),
    "R8738-3": must("tls-alpn-01 uses the reverse name as SNI and wants one iPAddress"),
    "R8738-4": must("dns-01 is never offered for an address"),
    "R8738-5": must("The CSR has the address as iPAddress"),
    "R8738-6": own("Addresses that validation may not reach are refused at newOrder"),
  },
};

export const rfc8739: RequirementList = {
  document: "RFC 8739 STAR",
  requirements: {
    "R8739-1": notApplicable("meta auto-renewal", star),
    "R8739-2": notApplicable("auto-renewal in an order (refused here, never ignored)", star),
    "R8739-3": notApplicable("star-certificate and its unauthenticated GET", star),
    "R8739-4": notApplicable("cancellation and its error types", star),
  },
};

export const rfc9115: RequirementList = {
  document: "RFC 9115 Delegation",
  requirements: {
    "R9115-1": notApplicable(
      "delegations and CSR templates (refused in an order)",
      "names are not delegated to third parties",
    ),
  },
};

export const rfc9444: RequirementList = {
  document: "RFC 9444 Subdomain authorizations",
  requirements: {
    "R9444-1": must(
      "meta subdomainAuthAllowed where configured; ancestorDomain in an order is honoured then, else ignored",
    ),
    "R9444-2": own("Never mixed with wildcard logic: neither implies the other"),
    "R9444-3": must("newAuthz with subdomainAuthAllowed makes an authorization that says so, for the ancestor"),
    "R9444-4": must("ancestorDomain is a true ancestor by whole labels, else the order is refused"),
    "R9444-5": must("An authorization without the mark never covers a subdomain"),
    "R9444-6": must("A valid ancestor authorization of the same account covers names below it, of no other account"),
    "R9444-7": own("The ancestor is proved by dns-01 alone"),
  },
};

export const rfc9447: RequirementList = {
  document: "RFC 9447 tkauth-01",
  requirements: {
    "R9447-1": must("tkauth-01 for uri where configured: tkauth-type atc, answered by a token in tkauth"),
    "R9447-2": must("The token has exp, jti and atc with type, value and fingerprint; else refused"),
    "R9447-3": must("The fingerprint is that of the account key, in its one form"),
    "R9447-4": must("A jti counts once, also in parallel"),
    "R9447-5": must("The authority is a configured one; nothing that a token names is fetched"),
    "R9447-6": must("Type and value of the token are those of the identifier"),
    "R9447-7": must("A token that asks for a CA certificate is refused"),
  },
};

export const caa: RequirementList = {
  document: "RFC 8659 and RFC 8657 CAA, where configured",
  requirements: {
    "R8659-1": must("The first set found from the name towards the root decides"),
    "R8659-2": must("issue for names, issuewild first for wildcards, every name of an order; an empty issuer forbids"),
    "R8659-3": must("An unknown critical property forbids"),
    "R8659-4": must("A failed lookup is no permission"),
    "R8659-5": own("Asked again at finalize when the validation is old"),
    "R8657-1": must("accounturi must be the account's URL"),
    "R8657-2": must("validationmethods must have the method that was used"),
  },
};

export const rfc9773: RequirementList = {
  document: "RFC 9773 Renewal information",
  requirements: {
    "R9773-1": must("renewalInfo in the directory; GET with the certificate's id, by anybody"),
    "R9773-2": must("suggestedWindow inside the validity, start before end; Retry-After"),
    "R9773-3": own("An id that is none → malformed; one that we did not issue → 404"),
    "R9773-4": own("A revoked certificate has a window that has passed"),
    "R9773-5": should("replaces: of the same account, with a name in common; else refused"),
    "R9773-6": must("Replaced once: a second order → 409 alreadyReplaced, unless the first became invalid"),
    "R9773-7": must("replaces is shown in the order"),
    "R9773-8": own("Windows of short certificates are computed in seconds and spread over a fleet"),
  },
};
