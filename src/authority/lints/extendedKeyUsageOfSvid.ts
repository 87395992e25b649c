/** “When included, fields id-kp-serverAuth and id-kp-clientAuth MUST be set.” */
import { isSvid } from "./names.ts";
import type { CertificateLint } from "./lint.ts";

export const extendedKeyUsageOfSvid: CertificateLint = {
  name: "extendedKeyUsageOfSvid",
  about: "certificate",
  source: "X.509-SVID §4.4",
  holds: (read) => {
    const { extendedKeyUsage } = read.values;
    if (extendedKeyUsage === undefined || !isSvid(read)) return true;
    return extendedKeyUsage.includes("serverAuth") && extendedKeyUsage.includes("clientAuth");
  },
};
