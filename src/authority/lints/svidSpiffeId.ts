/** “Leaf certificate SPIFFE IDs MUST have a non-root path component.” Whatever URI there is, is such an ID, to the letter. */
import { isAbsoluteUri, isWorkloadId } from "./names.ts";
import type { CertificateLint } from "./lint.ts";

export const svidSpiffeId: CertificateLint = {
  name: "svidSpiffeId",
  about: "certificate",
  source: "X.509-SVID §3.1; SPIFFE-ID §2",
  holds: ({ values: { subjectAltName } }) =>
    // What is no URI at all is for uriAbsolute.
    subjectAltName === undefined || subjectAltName.uri.every((uri) => isWorkloadId(uri) || !isAbsoluteUri(uri)),
};
