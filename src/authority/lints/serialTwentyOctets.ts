/** “Conforming CAs MUST NOT use serialNumber values longer than 20 octets.” */
import type { CertificateLint } from "./lint.ts";

export const serialTwentyOctets: CertificateLint = {
  name: "serialTwentyOctets",
  about: "certificate",
  source: "RFC 5280 §4.1.2.2",
  holds: ({ serialNumber }) => serialNumber.length <= 20,
};
