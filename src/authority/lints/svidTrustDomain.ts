/**
 * “If present, the SPIFFE ID of a signing certificate MUST NOT have a path component, and SHOULD reside in the trust domain of any leaf
 * SVIDs it issues.”
 */
import { isWorkloadId } from "./names.ts";
import type { CertificateLint } from "./lint.ts";

export const svidTrustDomain: CertificateLint = {
  name: "svidTrustDomain",
  about: "certificate",
  source: "X.509-SVID §3.2",
  holds: ({ values: { subjectAltName } }, { trustDomain }) =>
    subjectAltName === undefined ||
    trustDomain === undefined ||
    subjectAltName.uri.every((uri) => !isWorkloadId(uri) || uri.startsWith(`spiffe://${trustDomain}/`)),
};
