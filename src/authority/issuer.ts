/** An issuer: a CA key in a token together with its certificate. */
import type { Signer } from "../keys/signer.ts";
import type { Chain, PublishedCertificate } from "./chain.ts";

export interface Issuer {
  readonly id: string;
  readonly certificate: Buffer;
  /** DER Name: the subject of the CA certificate, the issuer of its leaves. */
  readonly subject: Buffer;
  readonly subjectKeyIdentifier: Buffer;
  readonly notAfter: Date;
  readonly signer: Signer;
  /** Where the revocation list is that a certificate of this serial number would be in. */
  readonly crlUrl?: (serial: Buffer) => string;
  /** Where this issuer's certificates are asked about (RFC 6960). */
  readonly ocspUrl?: string;
  /** PEM of what follows the leaf in the default chain: this issuer, without the root (RFC 8555 §7.4.2). */
  readonly chainPem: string;
}

/** The CA certificates of this deployment. */
export interface Hierarchy {
  readonly rootCertificate: Buffer;
  readonly rootPem: string;
  readonly issuing: Issuer;
  /** Issuing CAs, of now and of before, whose key has this identifier (RFC 5280 §4.2.1.1). */
  readonly issuerIdsOf: (keyIdentifier: Buffer) => readonly string[];
  /**
   * What may follow a leaf of this issuing CA, of now or of before: the default chain first, without the root, then the alternate ones
   * that are valid at `now`. None where the issuer is not ours.
   */
  readonly chainsOf: (issuerId: string, now: Date) => readonly Chain[];
  /** Every CA certificate that a chain leads over, by the path that it is published at. */
  readonly published: ReadonlyMap<string, PublishedCertificate>;
}
