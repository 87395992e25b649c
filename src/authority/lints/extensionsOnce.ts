import type { CertificateLint } from "./lint.ts";

export const extensionsOnce: CertificateLint = {
  name: "extensionsOnce",
  about: "certificate",
  source: "RFC 5280 §4.2",
  says: "“A certificate MUST NOT include more than one instance of a particular extension.”",
  holds: ({ extensions, byOid }) => extensions.length === byOid.size,
};
