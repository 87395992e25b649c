/**
 * “In conforming CA certificates, the value of the subject key identifier MUST be the value placed in the key identifier field of the
 * authority key identifier extension (Section 4.2.1.1) of certificates issued by the subject of this certificate.”
 */
import type { CertificateLint } from "./lint.ts";

export const authorityKeyIdentifierOfIssuer: CertificateLint = {
  name: "authorityKeyIdentifierOfIssuer",
  about: "certificate",
  source: "RFC 5280 §4.2.1.2",
  holds: ({ values: { authorityKeyIdentifier } }, issuer) =>
    authorityKeyIdentifier === undefined || authorityKeyIdentifier.equals(issuer.subjectKeyIdentifier),
};
