/**
 * “The validity period for a certificate is the period of time from notBefore through notAfter, inclusive.” It does not end before it
 * begins.
 */
import type { CertificateLint } from "./lint.ts";

export const validityOrder: CertificateLint = {
  name: "validityOrder",
  about: "certificate",
  source: "RFC 5280 §4.1.2.5",
  holds: ({ notBefore, notAfter }) => notBefore.date <= notAfter.date,
};
