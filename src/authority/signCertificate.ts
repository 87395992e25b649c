/** The signature on a certificate, for leaves and CAs alike: nothing leaves that our own public key does not verify. */
import type { Signer } from "../keys/signer.ts";
import { assembleCertificate } from "../x509/certificate.ts";
import { verifySignature } from "../x509/signatureAlgorithm.ts";

/** A signature of our own that does not verify, or bytes that changed on the way: never released. */
export class BadSignature extends Error {
  override readonly name = "BadSignature";
}

/**
 * Signs a DER TBSCertificate, verifies the signature with the signer's own public key, and assembles the certificate around the very
 * bytes that were signed.
 * @throws {KeyUnavailable} · {BadSignature}
 */
export async function signCertificate(tbs: Buffer, signer: Signer): Promise<Buffer> {
  const signature = await signer.sign(tbs);
  if (!verifySignature(signer.algorithm, signer.publicKey, tbs, signature)) {
    throw new BadSignature("the token returned a signature that does not verify");
  }
  return assembleCertificate(tbs, signer.algorithm, signature);
}
