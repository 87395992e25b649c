/** The issuer is, octet for octet, the subject of the issuing CA's certificate: without that no path leads to it. */
import type { CertificateLint } from "./lint.ts";

export const issuerIsTheSubject: CertificateLint = {
  name: "issuerIsTheSubject",
  about: "certificate",
  source: "RFC 5280 §6.1.3 (a)(4)",
  holds: ({ issuer }, { subject }) => issuer.equals(subject),
};
