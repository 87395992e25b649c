/** Evidence by possession of a certificate (format x509-pop): its key signs the binding value. The key goes nowhere. */
import type { KeyObject, X509Certificate } from "node:crypto";
import { ClientError } from "./errors.ts";
import { chooseSources, type EvidenceBinding, type EvidenceItem } from "./evidence.ts";
import { signCompact } from "./jws.ts";
import { readPemCertificates } from "./verifyChain.ts";

/** A certificate and its private key. */
export interface Possession {
  /** PEM: the leaf, and what leads from it to the root; the root may be left out. */
  readonly certificatePem: string;
  /** ECDSA P-256 or P-384, Ed25519 or RSA. */
  readonly privateKey: KeyObject;
}

export const possessionFormat = "x509-pop";
/** How long the proof counts; seconds. The server takes no more. */
const secondsMax = 300;
/** The leaf and what the server takes behind it. */
const certificatesMax = 5;

/**
 * What makes the proof for a challenge: the value of an item of evidence.
 * @throws {ClientError} evidence, where the key is not the certificate's
 */
export function possessionProof({ certificatePem, privateKey }: Possession) {
  const [leaf, ...above] = readPemCertificates(certificatePem, "the certificate");
  if (leaf === undefined || !leaf.checkPrivateKey(privateKey))
    throw new ClientError("evidence", "the private key is not the one of the certificate");
  const x5c = [leaf, ...above].slice(0, certificatesMax).map(({ raw }) => raw.toString("base64"));
  return ({ audience, binding }: Pick<EvidenceBinding, "audience" | "binding">): string => {
    const iat = Math.floor(Date.now() / 1000);
    const payload = { aud: audience, binding, iat, exp: iat + secondsMax };
    return signCompact(privateKey, { typ: "acme-wa-pop+jws", x5c }, payload);
  };
}

/**
 * Evidence for `MayflyClient.request`.
 * @param ref the server's name of the source, where more than one takes certificates
 */
export const possessionEvidence =
  (proof: ReturnType<typeof possessionProof>, ref?: string) =>
  async (binding: EvidenceBinding): Promise<readonly EvidenceItem[]> =>
    chooseSources(binding.accept, [{ format: possessionFormat, ref }]).map((source) => ({
      format: source.format,
      ref: source.ref,
      value: proof(binding),
    }));

/** Whether a certificate can be shown now for this identity. */
export function isUsableFor(leaf: X509Certificate, spiffeId: string, now: Date): boolean {
  const names = leaf.subjectAltName?.split(", ") ?? [];
  return names.includes(`URI:${spiffeId}`) && leaf.validFromDate <= now && now < leaf.validToDate;
}
