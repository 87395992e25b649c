/** The extension is not critical. RFC 5280 §4.2.1.12 leaves it to the issuer; a verifier that does not know it shall not fail for it. */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const extendedKeyUsageNotCritical: CertificateLint = {
  name: "extendedKeyUsageNotCritical",
  about: "certificate",
  source: "CA/B BR §7.1.2.7.6",
  holds: ({ byOid }) => byOid.get(oids.extendedKeyUsage)?.critical !== true,
};
