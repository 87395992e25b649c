/** The signature on a certificate: nothing leaves that our own public key does not verify. */
import { assembleCertificate } from "../x509/certificate.ts";
import type { LintedCaRequest } from "./caRequest.ts";
import type { IssuingKey, ToBeSigned } from "./issuingKey.ts";

/** A request is no certificate, though a CA's key signs it. */
type SignableCertificate = Exclude<ToBeSigned, LintedCaRequest>;

/**
 * Signs, and assembles the certificate around the very bytes that were signed.
 * @throws {KeyUnavailable} · {BadSignature}
 */
export async function signCertificate(toBeSigned: SignableCertificate, key: IssuingKey): Promise<Buffer> {
  return assembleCertificate(toBeSigned.tbs, key.algorithm, await key.sign(toBeSigned));
}
