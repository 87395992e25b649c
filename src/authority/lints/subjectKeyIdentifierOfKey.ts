/**
 * “For end entity certificates, subject key identifiers SHOULD be derived from the public key.” Ours are the leftmost 160 bits of the
 * SHA-256 hash of its bit string.
 */
import { hash } from "node:crypto";
import type { CertificateLint } from "./lint.ts";

export const subjectKeyIdentifierOfKey: CertificateLint = {
  name: "subjectKeyIdentifierOfKey",
  about: "certificate",
  source: "RFC 5280 §4.2.1.2; RFC 7093 §2",
  holds: ({ values: { subjectKeyIdentifier }, subjectPublicKey }) =>
    subjectKeyIdentifier === undefined ||
    subjectKeyIdentifier.equals(hash("sha256", subjectPublicKey, "buffer").subarray(0, 20)),
};
