/**
 * “If the cA boolean is not asserted, then the keyCertSign bit in the key usage extension MUST NOT be asserted.” “Leaf SVIDs MUST NOT
 * set keyCertSign or cRLSign.”
 */
import type { CertificateLint } from "./lint.ts";

export const keyUsageOfLeaf: CertificateLint = {
  name: "keyUsageOfLeaf",
  about: "certificate",
  source: "RFC 5280 §4.2.1.9; X.509-SVID §4.3",
  holds: ({ values: { keyUsage } }) =>
    keyUsage === undefined || !(keyUsage.includes("keyCertSign") || keyUsage.includes("cRLSign")),
};
