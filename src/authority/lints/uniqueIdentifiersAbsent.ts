/** “CAs conforming to this profile MUST NOT generate certificates with unique identifiers.” */
import type { CertificateLint } from "./lint.ts";

export const uniqueIdentifiersAbsent: CertificateLint = {
  name: "uniqueIdentifiersAbsent",
  about: "certificate",
  source: "RFC 5280 §4.1.2.8",
  holds: ({ uniqueIdentifiers }) => !uniqueIdentifiers,
};
