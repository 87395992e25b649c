/**
 * “If the subject field contains an empty sequence, then the issuing CA MUST include a subjectAltName extension that is marked as
 * critical. When including the subjectAltName extension in a certificate that has a non-empty subject distinguished name, conforming CAs
 * SHOULD mark the subjectAltName extension as non-critical.”
 */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const subjectAltNameCriticality: CertificateLint = {
  name: "subjectAltNameCriticality",
  about: "certificate",
  source: "RFC 5280 §4.2.1.6",
  holds: ({ byOid, subject }) => {
    const names = byOid.get(oids.subjectAltName);
    return names === undefined || names.critical === (subject.length === 2);
  },
};
