/** “When present, conforming CAs MUST mark this extension as non-critical.” */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const noRevAvailNotCritical: CertificateLint = {
  name: "noRevAvailNotCritical",
  about: "certificate",
  source: "RFC 9608 §2",
  holds: ({ byOid }) => byOid.get(oids.noRevAvail)?.critical !== true,
};
