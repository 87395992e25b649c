/**
 * “The name MUST be in the "preferred name syntax", as specified by Section 3.5 of [RFC1034] and as modified by Section 2.1 of
 * [RFC1123].” It has at most 253 characters, in labels of at most 63. Asterisks and underscores are for other lints.
 */
import type { CertificateLint } from "./lint.ts";

const preferred = /^[a-z0-9_*](?:[a-z0-9_*-]{0,61}[a-z0-9_*])?(?:\.[a-z0-9_*](?:[a-z0-9_*-]{0,61}[a-z0-9_*])?)*$/i;

export const dnsNameSyntax: CertificateLint = {
  name: "dnsNameSyntax",
  about: "certificate",
  source: "RFC 5280 §4.2.1.6",
  holds: ({ values: { subjectAltName } }) =>
    subjectAltName === undefined || subjectAltName.dns.every((name) => name.length <= 253 && preferred.test(name)),
};
