/**
 * “A certificate-using system MUST reject the certificate if it encounters a critical extension it does not recognize”, and one that is
 * not critical says something that nobody asked for. There are only those that profiles have.
 */
import { knownExtensions } from "./certificateReading.ts";
import type { CertificateLint } from "./lint.ts";

export const extensionsKnown: CertificateLint = {
  name: "extensionsKnown",
  about: "certificate",
  source: "RFC 5280 §4.2",
  holds: ({ extensions }) => extensions.every(({ oid }) => knownExtensions.has(oid)),
};
