/** “The issuer field MUST contain a non-empty distinguished name (DN).” */
import type { CertificateLint } from "./lint.ts";

export const issuerNotEmpty: CertificateLint = {
  name: "issuerNotEmpty",
  about: "certificate",
  source: "RFC 5280 §4.1.2.4",
  holds: ({ issuer }) => issuer.length > 2,
};
