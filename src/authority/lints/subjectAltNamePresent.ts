/**
 * “Whenever such identities are to be bound into a certificate, the subject alternative name (or issuer alternative name) extension MUST
 * be used”. No certificate of ours is without.
 */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const subjectAltNamePresent: CertificateLint = {
  name: "subjectAltNamePresent",
  about: "certificate",
  source: "RFC 5280 §4.2.1.6",
  holds: ({ byOid }) => byOid.has(oids.subjectAltName),
};
