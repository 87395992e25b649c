/**
 * “The name MUST NOT be a relative URI, and it MUST follow the URI syntax and encoding rules specified in [RFC3986]. The name MUST
 * include both a scheme (e.g., "http" or "ftp") and a scheme-specific-part.”
 */
import { isAbsoluteUri } from "./names.ts";
import type { CertificateLint } from "./lint.ts";

export const uriAbsolute: CertificateLint = {
  name: "uriAbsolute",
  about: "certificate",
  source: "RFC 5280 §4.2.1.6",
  holds: ({ values: { subjectAltName } }) => subjectAltName === undefined || subjectAltName.uri.every(isAbsoluteUri),
};
