/**
 * Is this the certificate that was asked for, and does it lead to our root? (RFC 5280 §6.1 as far as an agent needs it,
 * X.509-SVID §5.) Answered before anything is returned or written.
 */
import { type KeyObject, X509Certificate } from "node:crypto";
import { ClientError } from "./errors.ts";

export interface Expected {
  readonly privateKey: KeyObject;
  readonly spiffeId: string;
  readonly dns: readonly string[];
  readonly ip: readonly string[];
  readonly now: Date;
}

export interface VerifiedChain {
  readonly leaf: X509Certificate;
  /** PEM, leaf first, without the root. Each certificate was issued by the next, the last by a root of ours. */
  readonly chain: readonly string[];
}

const chainLengthMax = 10;
const authoritiesKeptMax = 16;
const pemCertificate = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** Certificates of a PEM text, in order. @throws {ClientError} chain, when there is none, one does not parse, or there are too many. */
export function readPemCertificates(pem: string, what: string): X509Certificate[] {
  return pemBlocks(pem, what).map((block) => readCertificate(block, what));
}

function pemBlocks(pem: string, what: string): readonly string[] {
  const blocks = pem.match(pemCertificate) ?? [];
  if (blocks.length === 0) throw refusal(`${what} holds no PEM certificate`);
  if (blocks.length > 200) throw refusal(`${what} holds more than 200 certificates`);
  return blocks;
}

function readCertificate(block: string, what: string): X509Certificate {
  try {
    return new X509Certificate(block);
  } catch (error) {
    throw new ClientError("chain", `${what} holds a certificate that cannot be read`, { cause: error });
  }
}

/** Verifies a PEM chain as the server sent it. @throws {ClientError} chain, naming the first thing that is wrong */
export type ChainVerifier = (pem: string, expected: Expected) => VerifiedChain;

/** Verifies chains to any of `roots`. Intermediates come back with every certificate, so what is known of them is kept. */
export function chainVerifier(roots: readonly X509Certificate[]): ChainVerifier {
  const authorities = new Map<string, X509Certificate>();
  const knownIssuer = new WeakMap<X509Certificate, X509Certificate>();

  const readAuthority = (block: string): X509Certificate => {
    const known = authorities.get(block);
    if (known !== undefined) return known;
    if (authorities.size >= authoritiesKeptMax) authorities.clear();
    const certificate = readCertificate(block, "the server's answer");
    authorities.set(block, certificate);
    return certificate;
  };

  /** Names and key identifiers fit, the issuer may sign certificates (`checkIssued`), and it did (`verify`). */
  const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean => {
    if (knownIssuer.get(certificate) === issuer) return true;
    const issued = issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
    if (issued) knownIssuer.set(certificate, issuer);
    return issued;
  };

  return (pem, expected) => {
    const [first = "", ...others] = pemBlocks(pem, "the server's answer");
    if (others.length >= chainLengthMax) {
      throw refusal(`the chain has ${others.length + 1} certificates, more than ${chainLengthMax}`);
    }
    const leaf = readCertificate(first, "the server's answer");
    requireAskedFor(leaf, expected);

    const chain: string[] = [];
    const path = [leaf, ...others.map(readAuthority)];
    for (const [index, certificate] of path.entries()) {
      requireValidNow(certificate, expected.now);
      chain.push(certificate.toString());
      const root = roots.find((one) => isIssuedBy(certificate, one));
      if (root !== undefined) {
        requireValidNow(root, expected.now);
        return { leaf, chain };
      }
      const issuer = path[index + 1];
      if (issuer === undefined) break;
      if (!isIssuedBy(certificate, issuer)) {
        throw refusal(`${nameOf(certificate)} is not signed by the certificate that follows it`);
      }
    }
    throw refusal("the chain does not lead to the given root");
  };
}

/** Is it ours: our key, our names, and no CA. */
function requireAskedFor(leaf: X509Certificate, { privateKey, spiffeId, dns, ip }: Expected): void {
  if (!leaf.checkPrivateKey(privateKey)) throw refusal("the certificate is for another key");
  if (leaf.ca) throw refusal("the certificate is a CA certificate");
  const names = leaf.subjectAltName ?? "";
  // Node puts a name with unusual characters in quotes; none of ours has any, and a quoted comma would fool the split.
  if (names.includes('"')) throw refusal("the certificate has a name with unusual characters");
  const uris = names.split(", ").filter((name) => name.startsWith("URI:"));
  if (uris.length !== 1 || uris[0] !== `URI:${spiffeId}`) {
    throw refusal(`the certificate does not name ${spiffeId} as its only URI`);
  }
  const wanting = [
    ...dns.filter((name) => leaf.checkHost(name, { subject: "never", wildcards: false }) === undefined),
    ...ip.filter((address) => leaf.checkIP(address) === undefined),
  ];
  if (wanting.length > 0) throw refusal(`the certificate does not name ${wanting.join(", ")}`);
}

function requireValidNow(certificate: X509Certificate, now: Date): void {
  if (now < certificate.validFromDate) {
    throw refusal(
      `${nameOf(certificate)} is not valid before ${iso(certificate.validFromDate)}; is this machine's clock right?`,
    );
  }
  if (now > certificate.validToDate) throw refusal(`${nameOf(certificate)} expired at ${iso(certificate.validToDate)}`);
}

function nameOf(certificate: X509Certificate): string {
  const subject = (certificate.subject ?? "").replaceAll("\n", ", ");
  return subject === "" ? "the certificate" : `"${subject}"`;
}

function iso(date: Date): string {
  return date.toISOString().replace(".000Z", "Z");
}

function refusal(message: string): ClientError {
  return new ClientError("chain", message);
}
