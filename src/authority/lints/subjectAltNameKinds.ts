/**
 * There are only names of kinds that are proved to us. The Baseline Requirements permit DNS names and addresses and no other kind; private
 * certificates have URIs and the identifiers of devices (RFC 4043) besides.
 */
import type { CertificateLint } from "./lint.ts";

export const subjectAltNameKinds: CertificateLint = {
  name: "subjectAltNameKinds",
  about: "certificate",
  source: "CA/B BR §7.1.2.7.12; Mayfly",
  holds: ({ values: { subjectAltName } }) => subjectAltName === undefined || subjectAltName.other.length === 0,
};
