/** “When present, conforming CAs SHOULD mark this extension as critical.” */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const keyUsageCritical: CertificateLint = {
  name: "keyUsageCritical",
  about: "certificate",
  source: "RFC 5280 §4.2.1.3; X.509-SVID §4.3",
  holds: ({ byOid }) => byOid.get(oids.keyUsage)?.critical !== false,
};
