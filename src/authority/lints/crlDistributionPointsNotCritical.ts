/** “The extension SHOULD be non-critical”, and ours is. */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const crlDistributionPointsNotCritical: CertificateLint = {
  name: "crlDistributionPointsNotCritical",
  about: "certificate",
  source: "RFC 5280 §4.2.1.13",
  holds: ({ byOid }) => byOid.get(oids.cRLDistributionPoints)?.critical !== true,
};
