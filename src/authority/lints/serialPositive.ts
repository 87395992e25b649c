/**
 * “The serial number MUST be a positive integer assigned by the CA to each certificate. […] CAs MUST force the serialNumber to be a
 * non-negative integer.”
 */
import type { CertificateLint } from "./lint.ts";

export const serialPositive: CertificateLint = {
  name: "serialPositive",
  about: "certificate",
  source: "RFC 5280 §4.1.2.2",
  holds: ({ serialNumber }) => (serialNumber[0] ?? 0x80) < 0x80 && serialNumber.some((octet) => octet !== 0),
};
