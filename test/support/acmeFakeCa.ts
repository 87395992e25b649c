/**
 * The certificate authority behind the ACME fake: @peculiar/x509 all through, so that nothing of ours vouches for itself.
 */
// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 wants its side effect first
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(webcrypto);

const p256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const minute = 60_000;

export interface Party {
  readonly name: string;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly certificate: x509.X509Certificate;
}

/** Everything about a leaf that a test may want to be wrong. */
export interface LeafContent {
  readonly publicKey: x509.PublicKeyType;
  readonly names: readonly x509.JsonGeneralName[];
  readonly issuer: Party;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly ca?: boolean;
}

let serial = 0x10;
const nextSerial = (): string => `7f${(serial += 1).toString(16).padStart(6, "0")}`;

export async function p256Keys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(p256, true, ["sign", "verify"]);
}

/** A CA certificate: a root, or under `issuer`. */
export async function makeCa(
  name: string,
  issuer?: Party,
  options: { readonly ca?: boolean; readonly notAfter?: Date } = {},
): Promise<Party> {
  const keys = await p256Keys();
  const { ca = true, notAfter = new Date(Date.now() + 60 * minute) } = options;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: nextSerial(),
    subject: `CN=${name}`,
    issuer: `CN=${issuer?.name ?? name}`,
    publicKey: keys.publicKey,
    signingKey: issuer?.keys.privateKey ?? keys.privateKey,
    signingAlgorithm: p256,
    notBefore: new Date(Date.now() - 60 * minute),
    notAfter,
    extensions: [
      new x509.BasicConstraintsExtension(ca, undefined, true),
      new x509.KeyUsagesExtension(ca ? x509.KeyUsageFlags.keyCertSign : x509.KeyUsageFlags.digitalSignature, true),
    ],
  });
  return { name, keys, certificate };
}

export async function makeLeaf(content: LeafContent): Promise<x509.X509Certificate> {
  const { publicKey, names, issuer, ca = false } = content;
  return x509.X509CertificateGenerator.create({
    serialNumber: nextSerial(),
    issuer: `CN=${issuer.name}`,
    publicKey,
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: p256,
    notBefore: content.notBefore ?? new Date(Date.now() - minute),
    notAfter: content.notAfter ?? new Date(Date.now() + 15 * minute),
    extensions: [
      new x509.SubjectAlternativeNameExtension([...names], true),
      new x509.BasicConstraintsExtension(ca, undefined, true),
      new x509.KeyUsagesExtension(ca ? x509.KeyUsageFlags.keyCertSign : x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth, x509.ExtendedKeyUsage.serverAuth]),
    ],
  });
}

/** PKCS#8 PEM. */
export async function privateKeyPem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const der = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return x509.PemConverter.encode(der, "PRIVATE KEY");
}

/** One block per certificate, each ended by a newline. */
export function pemOf(...certificates: readonly x509.X509Certificate[]): string {
  return certificates.map((one) => `${one.toString("pem")}\n`).join("");
}
