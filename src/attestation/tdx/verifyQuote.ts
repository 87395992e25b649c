/**
 * Who signed a quote: from a pinned root over the platform's PCK certificate to the quoting enclave, from there to the attestation key, from
 * there to the quote (Intel, "TDX DCAP Quote Verification Library", the signature part).
 */
import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { type CertificateChain, type ChainRules, type TrustedRoots, verifyChain } from "../certificateChain.ts";
import { derOfPem } from "../certificateFile.ts";
import { isAllZero } from "../binaryEvidence.ts";
import { invalid, malformed } from "../evidence.ts";
import type { TdxQuote } from "./quote.ts";

/**
 * @returns the PCK chain: the platform's certificate, the platform or processor CA, the root
 * @throws {EvidenceRefused} evidenceInvalid · evidenceExpired · evidenceMalformed
 */
export function verifyQuote(quote: TdxQuote, roots: TrustedRoots, rules: ChainRules): CertificateChain {
  const [leaf, ...above] = derOfPem(quote.pckChain.toString("latin1"));
  if (leaf === undefined) throw malformed("The quote's PCK certificate chain is not PEM");
  const chain = verifyChain(leaf, above, roots, { ...rules, leafKeyUsage: "digitalSignature" });
  // No other depth is Intel's.
  if (chain.certificates.length !== 3) {
    throw invalid("The quote's PCK certificate chain has not three certificates");
  }
  requireSignatures(quote, chain.publicKey);
  return chain;
}

function requireSignatures(quote: TdxQuote, pck: KeyObject): void {
  const { qeReport, qeReportSignature, qeAuthenticationData, attestationKey } = quote;
  if (!isSignature(pck, qeReport.octets, qeReportSignature)) {
    throw invalid("The signature of the quoting enclave's report does not verify");
  }
  const vouched = createHash("sha256").update(attestationKey).update(qeAuthenticationData).digest();
  if (!qeReport.reportData.subarray(0, 32).equals(vouched) || !isAllZero(qeReport.reportData.subarray(32))) {
    throw invalid("The quoting enclave does not vouch for the key that signed the quote");
  }
  if (!isSignature(keyOfPoint(attestationKey), quote.signed, quote.signature)) {
    throw invalid("The quote's signature does not verify");
  }
}

function isSignature(key: KeyObject, signed: Buffer, signature: Buffer): boolean {
  if (key.asymmetricKeyDetails?.namedCurve !== "prime256v1") return false;
  return verify("sha256", signed, { key, dsaEncoding: "ieee-p1363" }, signature);
}

function keyOfPoint(point: Buffer): KeyObject {
  const [x, y] = [point.subarray(0, 32), point.subarray(32)].map((half) => half.toString("base64url"));
  try {
    return createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" });
  } catch {
    throw malformed("The quote's attestation key is no point of P-256");
  }
}
