import type { CertificateLint } from "./lint.ts";

export const issuerNotEmpty: CertificateLint = {
  name: "issuerNotEmpty",
  about: "certificate",
  source: "RFC 5280 §4.1.2.4",
  says: "“The issuer field MUST contain a non-empty distinguished name (DN).”",
  holds: ({ issuer }) => issuer.length > 2,
};
