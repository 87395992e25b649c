/** What follows a leaf: chains of CA certificates, and where each of those is for anybody to read. */
import { createHash } from "node:crypto";

import { readCertificate } from "../x509/certificate.ts";
import { pemEncode } from "../x509/pem.ts";

/** CA certificates above a leaf, in their order (RFC 8555 §7.4.2), without the leaf. */
export interface Chain {
  /** The beginning of SHA-256 over its certificates, in hexadecimal: the same wherever the chain stands in the configuration. */
  readonly id: string;
  readonly certificates: readonly Buffer[];
  readonly pem: string;
  /** When the first of its certificates ends. */
  readonly notAfter: Date;
}

/** A chain of these certificates. */
export function chainOf(certificates: readonly Buffer[]): Chain {
  const hash = createHash("sha256");
  for (const certificate of certificates) hash.update(certificate);
  return {
    id: hash.digest("hex").slice(0, 16),
    certificates,
    pem: certificates.map((certificate) => pemEncode("CERTIFICATE", certificate)).join(""),
    notAfter: new Date(Math.min(...certificates.map((one) => readCertificate(one).notAfter.getTime()))),
  };
}

/** Path of a CA certificate below the external URL: public, and never another one. */
export const caCertificatePath = (certificate: Buffer): string =>
  `/ca/${createHash("sha256").update(certificate).digest("hex")}.cer`;

/** A CA certificate that is published, with the paths of those above it. */
export interface PublishedCertificate {
  readonly certificate: Buffer;
  readonly up: readonly string[];
}

/** Every certificate of these chains by its path; one that stands in several chains may have several above it. */
export function publishedCertificates(chains: readonly (readonly Buffer[])[]): Map<string, PublishedCertificate> {
  const published = new Map<string, PublishedCertificate>();
  for (const chain of chains) {
    for (const [index, certificate] of chain.entries()) {
      const path = caCertificatePath(certificate);
      const above = chain[index + 1];
      const known = published.get(path)?.up ?? [];
      const up = above === undefined ? known : [...new Set([...known, caCertificatePath(above)])];
      published.set(path, { certificate, up });
    }
  }
  return published;
}
