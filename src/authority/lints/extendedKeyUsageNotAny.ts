/** No certificate is for any purpose whatsoever: anyExtendedKeyUsage is not there. */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const extendedKeyUsageNotAny: CertificateLint = {
  name: "extendedKeyUsageNotAny",
  about: "certificate",
  source: "CA/B BR §7.1.2.7.10",
  holds: ({ values: { extendedKeyUsage } }) => extendedKeyUsage?.includes(oids.anyExtendedKeyUsage) !== true,
};
