/**
 * A wildcard is the whole of the first label: “A string starting with "*." (U+002A ASTERISK, U+002E FULL STOP) immediately followed by a
 * Fully-Qualified Domain Name.”
 */
import type { CertificateLint } from "./lint.ts";

export const dnsNameWildcard: CertificateLint = {
  name: "dnsNameWildcard",
  about: "certificate",
  source: "CA/B BR §1.6.1; RFC 9525 §6.3",
  holds: ({ values: { subjectAltName } }) =>
    subjectAltName === undefined ||
    subjectAltName.dns.every((name) => !name.includes("*") || (name.lastIndexOf("*") === 0 && /^\*\../.test(name))),
};
