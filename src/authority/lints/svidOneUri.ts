/** “An X.509 SVID MUST contain exactly one URI SAN, and by extension, exactly one SPIFFE ID.” */
import { isSvid } from "./names.ts";
import type { CertificateLint } from "./lint.ts";

export const svidOneUri: CertificateLint = {
  name: "svidOneUri",
  about: "certificate",
  source: "X.509-SVID §2",
  holds: (read) => !isSvid(read) || read.values.subjectAltName?.uri.length === 1,
};
