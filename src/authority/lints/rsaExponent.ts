/**
 * “The CA SHALL confirm that the value of the public exponent is an odd number equal to 3 or more. Additionally, the public exponent
 * SHOULD be in the range between 2^16 + 1 and 2^256 - 1.”
 */
import type { CertificateLint } from "./lint.ts";

export const rsaExponent: CertificateLint = {
  name: "rsaExponent",
  about: "certificate",
  source: "CA/B BR §6.1.6",
  holds: ({ key: { exponent } }) => {
    if (exponent === undefined) return true;
    const value = BigInt(`0x${exponent.toString("hex")}`);
    return (exponent[0] ?? 0x80) < 0x80 && value % 2n === 1n && value > 2n ** 16n && value < 2n ** 256n;
  },
};
