/**
 * What ties evidence to a request: the binding value of workload-attest-01 (to challenge, account and certificate key), and the
 * fingerprint of authority tokens (to the account key).
 */
import { createHash } from "node:crypto";

const label = Buffer.from("acme-workload-attest-01\0", "latin1");
const separator = Buffer.of(0);

/** S: SHA-256 over the DER SubjectPublicKeyInfo of the key to be certified. */
export function spkiDigest(spki: Uint8Array): Buffer {
  return createHash("sha256").update(spki).digest();
}

/**
 * B as base64url (43 characters): SHA-256("acme-workload-attest-01" || 0x00 || KA || 0x00 || S).
 * KA is the key authorization, token "." thumbprint (RFC 8555 §8.1).
 */
export function bindingValue(token: string, thumbprint: string, spkiSha256: Uint8Array): string {
  return createHash("sha256")
    .update(label)
    .update(`${token}.${thumbprint}`, "latin1")
    .update(separator)
    .update(spkiSha256)
    .digest("base64url");
}

/**
 * The account key as an authority token names it (RFC 9447 §4): `SHA256 `, then the thumbprint's octets in upper-case hex with colons.
 * @param thumbprint - SHA-256 JWK thumbprint, base64url
 */
export function accountFingerprint(thumbprint: string): string {
  const octets = Buffer.from(thumbprint, "base64url").toString("hex").toUpperCase().match(/../g) ?? [];
  return `SHA256 ${octets.join(":")}`;
}
