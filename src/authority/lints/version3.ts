/** “When extensions are used, as expected in this profile, version MUST be 3 (value is 2).” */
import type { CertificateLint } from "./lint.ts";

export const version3: CertificateLint = {
  name: "version3",
  about: "certificate",
  source: "RFC 5280 §4.1.2.1",
  holds: ({ version }) => version === 2,
};
