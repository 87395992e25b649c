/**
 * “This field contains the algorithm identifier for the algorithm used by the CA to sign the certificate. This field MUST contain the
 * same algorithm identifier as the signatureAlgorithm field in the sequence Certificate”, and that is the one of the issuer's key.
 */
import type { CertificateLint } from "./lint.ts";

export const signatureOfIssuer: CertificateLint = {
  name: "signatureOfIssuer",
  about: "certificate",
  source: "RFC 5280 §4.1.2.3",
  holds: ({ signature }, issuer) => signature.equals(issuer.signatureIdentifier),
};
