/** “The certificate validity period includes the current time”, for every certificate of the path: none ends after its issuer. */
import type { CertificateLint } from "./lint.ts";

export const issuerOutlivesLeaf: CertificateLint = {
  name: "issuerOutlivesLeaf",
  about: "certificate",
  source: "RFC 5280 §6.1.3 (a)(2)",
  holds: ({ notAfter }, issuer) => notAfter.date <= issuer.notAfter,
};
