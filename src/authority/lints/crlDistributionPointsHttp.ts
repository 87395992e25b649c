/** “When present, DistributionPointName SHOULD include at least one LDAP or HTTP URI.” Ours are absolute, and http or https. */
import { isHttpUrl } from "./names.ts";
import type { CertificateLint } from "./lint.ts";

export const crlDistributionPointsHttp: CertificateLint = {
  name: "crlDistributionPointsHttp",
  about: "certificate",
  source: "RFC 5280 §4.2.1.13",
  holds: ({ values: { crlDistributionPoints } }) => crlDistributionPoints?.every(isHttpUrl) ?? true,
};
