/** A common name has at most 64 characters (ub-common-name). */
import { commonNameOf } from "../../x509/name.ts";
import type { CertificateLint } from "./lint.ts";

export const commonNameLength: CertificateLint = {
  name: "commonNameLength",
  about: "certificate",
  source: "RFC 5280 appendix A.1",
  holds: ({ subject }) => subject.length === 2 || (commonNameOf(subject)?.length ?? 0) <= 64,
};
