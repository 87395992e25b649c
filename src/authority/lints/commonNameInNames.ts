/**
 * “If present, this attribute MUST contain exactly one entry that is one of the values contained in the Certificate's subjectAltName
 * extension”. Here that is a DNS name.
 */
import { commonNameOf } from "../../x509/name.ts";
import type { CertificateLint } from "./lint.ts";

export const commonNameInNames: CertificateLint = {
  name: "commonNameInNames",
  about: "certificate",
  source: "CA/B BR §7.1.4.3",
  holds: ({ subject, values: { subjectAltName } }) => {
    if (subject.length === 2 || subjectAltName === undefined) return true;
    const commonName = commonNameOf(subject);
    return commonName === undefined || subjectAltName.dns.includes(commonName);
  },
};
