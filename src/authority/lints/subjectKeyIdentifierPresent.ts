/**
 * “To assist applications in identifying the appropriate end entity certificate, this extension SHOULD be included in all end entity
 * certificates.”
 */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const subjectKeyIdentifierPresent: CertificateLint = {
  name: "subjectKeyIdentifierPresent",
  about: "certificate",
  source: "RFC 5280 §4.2.1.2",
  holds: ({ byOid }) => byOid.has(oids.subjectKeyIdentifier),
};
