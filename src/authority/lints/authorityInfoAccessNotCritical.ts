/** “Conforming CAs MUST mark this extension as non-critical.” */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const authorityInfoAccessNotCritical: CertificateLint = {
  name: "authorityInfoAccessNotCritical",
  about: "certificate",
  source: "RFC 5280 §4.2.2.1",
  holds: ({ byOid }) => byOid.get(oids.authorityInfoAccess)?.critical !== true,
};
