/** What is named is asked over HTTP: the URLs are absolute, and http or https. */
import { isHttpUrl } from "./names.ts";
import type { CertificateLint } from "./lint.ts";

export const authorityInfoAccessHttp: CertificateLint = {
  name: "authorityInfoAccessHttp",
  about: "certificate",
  source: "RFC 5280 §4.2.2.1; RFC 6960 appendix A.1",
  holds: ({ values: { authorityInfoAccess: access } }) =>
    access === undefined || (access.ocsp.every(isHttpUrl) && access.caIssuers.every(isHttpUrl)),
};
