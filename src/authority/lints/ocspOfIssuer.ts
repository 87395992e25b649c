/** The OCSP responder that is named is the issuer's, and there is no other. */
import type { CertificateLint } from "./lint.ts";

export const ocspOfIssuer: CertificateLint = {
  name: "ocspOfIssuer",
  about: "certificate",
  source: "RFC 5280 §4.2.2.1",
  holds: ({ values: { authorityInfoAccess } }, { ocspUrl }) =>
    authorityInfoAccess?.ocsp.every((url) => url === ocspUrl) ?? true,
};
