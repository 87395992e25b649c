/** “Conforming CAs MUST mark this extension as non-critical.” */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const subjectKeyIdentifierNotCritical: CertificateLint = {
  name: "subjectKeyIdentifierNotCritical",
  about: "certificate",
  source: "RFC 5280 §4.2.1.2",
  holds: ({ byOid }) => byOid.get(oids.subjectKeyIdentifier)?.critical !== true,
};
