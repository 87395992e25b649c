/**
 * RFC 5280 §4.1.2.2: "The serial number MUST be a positive integer assigned by the CA to each certificate." "Conforming CAs MUST NOT use
 * serialNumber values longer than 20 octets." BR §7.1.2.1 and §7.1.2.6, of roots and of the CAs below them: "MUST be a non-sequential
 * number greater than zero (0) and less than 2¹⁵⁹ containing at least 64 bits of output from a CSPRNG."
 */
import type { CaLint } from "./caLint.ts";

export const serialEntropy: CaLint = {
  name: "serialEntropy",
  source: "RFC 5280 §4.1.2.2; BR §7.1.2.1, §7.1.2.6",
  holds: ({ serialNumber }) =>
    serialNumber.length >= 9 && serialNumber.length <= 20 && (serialNumber[0] ?? 0x80) < 0x80,
};
