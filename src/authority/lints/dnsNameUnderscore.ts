/**
 * A DNS name is “composed entirely of P-Labels or Non-Reserved LDH Labels joined together by a U+002E FULL STOP (".") character”.
 * Neither has an underscore.
 */
import type { CertificateLint } from "./lint.ts";

export const dnsNameUnderscore: CertificateLint = {
  name: "dnsNameUnderscore",
  about: "certificate",
  source: "CA/B BR §7.1.2.7.12",
  holds: ({ values: { subjectAltName } }) =>
    subjectAltName === undefined || !subjectAltName.dns.some((name) => name.includes("_")),
};
