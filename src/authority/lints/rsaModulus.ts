/**
 * “Ensure that the modulus size, when encoded, is at least 2048 bits”; “Ensure that the modulus size, in bits, is evenly divisible by 8.”
 */
import type { CertificateLint } from "./lint.ts";

export const rsaModulus: CertificateLint = {
  name: "rsaModulus",
  about: "certificate",
  source: "CA/B BR §6.1.5",
  holds: ({ key: { modulus } }) =>
    // A positive number whose first octet has its high bit, so that DER puts a zero octet before it.
    modulus === undefined || (modulus[0] === 0 && modulus.length >= 257 && (modulus[1] ?? 0) >= 0x80),
};
