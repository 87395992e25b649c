/** The certified key is not the issuing CA's own: whoever has the one would be taken for the other. */
import type { CertificateLint } from "./lint.ts";

export const keyNotOfIssuer: CertificateLint = {
  name: "keyNotOfIssuer",
  about: "certificate",
  source: "Mayfly",
  holds: ({ spki }, issuer) => !spki.equals(issuer.spki),
};
