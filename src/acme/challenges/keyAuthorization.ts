/** Key authorizations (RFC 8555 §8.1) and the binding value of workload-attest-01. Pure. */
import { createHash } from "node:crypto";

/** token "." base64url(thumbprint). */
export function keyAuthorization(token: string, thumbprint: Buffer): string {
  return `${token}.${thumbprint.toString("base64url")}`;
}

/**
 * B = SHA-256("acme-workload-attest-01" ‖ 00 ‖ KA ‖ 00 ‖ S), base64url.
 * @param spkiSha256 S: SHA-256 of the DER SubjectPublicKeyInfo to be certified, 32 octets
 */
export function bindingValue(keyAuthorizationText: string, spkiSha256: Buffer): string {
  const zero = Buffer.alloc(1);
  return createHash("sha256")
    .update("acme-workload-attest-01")
    .update(zero)
    .update(keyAuthorizationText)
    .update(zero)
    .update(spkiSha256)
    .digest("base64url");
}
