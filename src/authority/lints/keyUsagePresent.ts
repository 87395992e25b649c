/** “The key usage extension MUST be set on all SVIDs, and MUST be marked critical.” It is on all our certificates. */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const keyUsagePresent: CertificateLint = {
  name: "keyUsagePresent",
  about: "certificate",
  source: "X.509-SVID §4.3",
  holds: ({ byOid }) => byOid.has(oids.keyUsage),
};
