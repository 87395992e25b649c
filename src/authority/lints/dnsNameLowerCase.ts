/**
 * DNS names are in lower case, as the inventory has them: “no significance is attached to the case” (RFC 5280 §4.2.1.6), and one name
 * has one spelling.
 */
import type { CertificateLint } from "./lint.ts";

export const dnsNameLowerCase: CertificateLint = {
  name: "dnsNameLowerCase",
  about: "certificate",
  source: "Mayfly",
  holds: ({ values: { subjectAltName } }) =>
    subjectAltName === undefined || !subjectAltName.dns.some((name) => /[A-Z]/.test(name)),
};
