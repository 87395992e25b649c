/** A serial number holds “at least 64 bits of output from a CSPRNG”. The two octets of the day are none of them. */
import { serialDayOctets } from "../serialNumber.ts";
import type { CertificateLint } from "./lint.ts";

export const serialEntropy: CertificateLint = {
  name: "serialEntropy",
  about: "certificate",
  source: "CA/B BR §7.1.2.7",
  // How random octets are cannot be seen. That there is room for them can, and serialNotConstant sees the worst of what they may be.
  holds: ({ serialNumber }) => serialNumber.length >= serialDayOctets + 8,
};
