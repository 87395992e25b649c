import type { CertificateLint } from "./lint.ts";

export const issuerIsTheSubject: CertificateLint = {
  name: "issuerIsTheSubject",
  about: "certificate",
  source: "RFC 5280 §6.1.3 (a)(4)",
  says:
    "The issuer is, octet for octet, the subject of the issuing CA's certificate: without that no path leads to " +
    "it.",
  holds: ({ issuer }, { subject }) => issuer.equals(subject),
};
