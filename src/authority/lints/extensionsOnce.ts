/** “A certificate MUST NOT include more than one instance of a particular extension.” */
import type { CertificateLint } from "./lint.ts";

export const extensionsOnce: CertificateLint = {
  name: "extensionsOnce",
  about: "certificate",
  source: "RFC 5280 §4.2",
  holds: ({ extensions, byOid }) => extensions.length === byOid.size,
};
