/**
 * Implementations “MUST support the uncompressed form and MAY support the compressed form of the ECC public key”, so that only the first
 * is understood everywhere.
 */
import type { CertificateLint } from "./lint.ts";

export const ecPoint: CertificateLint = {
  name: "ecPoint",
  about: "certificate",
  source: "RFC 5480 §2.2",
  holds: ({ key: { pointForm } }) => pointForm === undefined || pointForm === 4,
};
