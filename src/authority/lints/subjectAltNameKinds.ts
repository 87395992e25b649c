/** There are only names of kinds that are proved to us: DNS names, addresses, URIs, and the identifiers of devices (RFC 4043). */
import type { CertificateLint } from "./lint.ts";

export const subjectAltNameKinds: CertificateLint = {
  name: "subjectAltNameKinds",
  about: "certificate",
  source: "CA/B BR §7.1.2.7.12",
  holds: ({ values: { subjectAltName } }) => subjectAltName === undefined || subjectAltName.other.length === 0,
};
