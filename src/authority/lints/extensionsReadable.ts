/**
 * “When an extension appears in a certificate, the OID appears as the field extnID and the corresponding ASN.1 DER encoded structure is
 * the value of the octet string extnValue.”
 */
import type { CertificateLint } from "./lint.ts";

export const extensionsReadable: CertificateLint = {
  name: "extensionsReadable",
  about: "certificate",
  source: "RFC 5280 §4.2",
  holds: ({ unreadable }) => unreadable.length === 0,
};
