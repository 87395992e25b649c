/** “Leaf SVIDs MUST set digitalSignature.” */
import { isSvid } from "./names.ts";
import type { CertificateLint } from "./lint.ts";

export const keyUsageOfSvid: CertificateLint = {
  name: "keyUsageOfSvid",
  about: "certificate",
  source: "X.509-SVID §4.3",
  holds: (read) => {
    const { keyUsage } = read.values;
    return keyUsage === undefined || !isSvid(read) || keyUsage.includes("digitalSignature");
  },
};
