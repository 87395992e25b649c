/**
 * A certificate for a CA of ours, from whoever signed it: another machine of ours, or another PKI. It is looked at in full before anything
 * is issued below it: once leaves have it in their chain, a mistake in it is everybody's.
 *
 * What makes the certificate useless or dangerous is refused; what is merely not as it should be is told.
 */
import { X509Certificate } from "node:crypto";

import { CertificateError, readCertificate, type Certificate } from "../x509/certificate.ts";
import { DerError } from "../x509/der.ts";
import { pemDecode, PemError } from "../x509/pem.ts";
import { caFaults, childFaults, type Findings } from "./certificateInRules.ts";
import { requestFaults, trustDomainFaults } from "./certificateInOwn.ts";

/** What the certificate is for. */
export interface AwaitedCertificate {
  /** DER SubjectPublicKeyInfo of our key. */
  readonly spki: Buffer;
  /** DER Name that was asked for. */
  readonly subject: Buffer;
  /** The CAs that may follow below ours. */
  readonly pathLength: number | undefined;
  readonly trustDomain: string;
  /** True where a PKI that names its CAs itself is welcome to another subject. */
  readonly anySubject: boolean;
}

/** A certificate that holds, with its way up. */
export interface CertificateIn {
  readonly certificate: Certificate;
  /** From above the certificate to below the root, in their order. */
  readonly intermediates: readonly Certificate[];
  readonly root: Certificate;
  /** What is not as it should be, in sentences. */
  readonly warnings: readonly string[];
  /** What was looked at and found right, for the transcript. */
  readonly checks: readonly string[];
}

/** The certificate is not taken. The message has every reason, a line each. */
export class CertificateInRefused extends Error {
  override readonly name = "CertificateInRefused";
}

/** More certificates than any chain has. */
const certificatesMax = 10;

/**
 * Looks at what came back for a request.
 * @param pem - our certificate first, each of those behind it the issuer of the one before; the root may be the last
 * @param rootPem - the root, where it is not in `pem`; it counts, whatever `pem` ends with
 * @throws {CertificateInRefused}
 */
export function readCertificateIn(
  pem: string,
  rootPem: string | undefined,
  awaited: AwaitedCertificate,
  now: Date,
): CertificateIn {
  try {
    return readChain(pem, rootPem, awaited, now);
  } catch (error) {
    // A name or an extension that is no DER: which reader came upon it first says little.
    if (error instanceof DerError)
      throw new CertificateInRefused(`a certificate cannot be read (${error.message})`, { cause: error });
    throw error;
  }
}

function readChain(pem: string, rootPem: string | undefined, awaited: AwaitedCertificate, now: Date): CertificateIn {
  const given = certificatesIn(pem, "the certificate file");
  const chain = withRoot(given, rootPem);
  const [certificate, root] = [chain[0], chain.at(-1)];
  if (certificate === undefined || root === undefined || chain.length < 2)
    throw new CertificateInRefused(
      "the certificate file has one certificate, and the root is to be told apart from it",
    );
  const findings: Findings = { faults: [], warnings: [] };
  requestFaults(certificate, awaited, findings);
  trustDomainFaults(chain, awaited.trustDomain, findings);
  for (const [index, one] of chain.entries()) {
    const which = index === 0 ? "the certificate" : one === root ? "the root" : `certificate ${index + 1} of the chain`;
    caFaults(one, { which, below: index, now }, findings);
    const above = chain[index + 1];
    if (above !== undefined) childFaults(one, above, which, findings);
  }
  signatureFaults(chain, findings);
  if (findings.faults.length > 0) throw new CertificateInRefused(findings.faults.join("\n"));
  return { certificate, intermediates: chain.slice(1, -1), root, warnings: findings.warnings, checks };
}

/** What `readCertificateIn` looks at, in the words of the transcript. */
const checks: readonly string[] = [
  "the key is the one that was asked for, and so is the subject",
  "every certificate of the chain is a CA's, valid now, with a path length that allows what is below it",
  "every certificate ends before or with the one above it, and is signed by it",
  "subject and authority key identifiers fit",
  "the root signed itself",
  "the trust domain, where a certificate names one, is ours and without a path",
];

function certificatesIn(pem: string, what: string): Certificate[] {
  try {
    const blocks = pemDecode(pem, "CERTIFICATE");
    if (blocks.length > certificatesMax)
      throw new CertificateInRefused(
        `${what} has ${blocks.length} certificates, and at most ${certificatesMax} are read`,
      );
    return blocks.map((block) => readCertificate(block, { lenient: true }));
  } catch (error) {
    if (error instanceof PemError || error instanceof CertificateError || error instanceof DerError)
      throw new CertificateInRefused(`${what} has other things than PEM certificates (${error.message})`, {
        cause: error,
      });
    throw error;
  }
}

/** The certificate that a file is about, unverified. @throws {CertificateInRefused} */
export function firstCertificate(pem: string): Certificate {
  const [first] = certificatesIn(pem, "the certificate file");
  if (first === undefined) throw new CertificateInRefused("the certificate file has no certificate");
  return first;
}

function withRoot(given: readonly Certificate[], rootPem: string | undefined): readonly Certificate[] {
  const last = given.at(-1);
  const isRoot = last !== undefined && last.subject.equals(last.issuer);
  if (rootPem === undefined) {
    if (given.length > 1 && isRoot) return given;
    throw new CertificateInRefused("the certificate file does not end with a root; give the root in a file of its own");
  }
  const [root, ...more] = certificatesIn(rootPem, "the root file");
  if (root === undefined || more.length > 0)
    throw new CertificateInRefused("the root file has more than one certificate");
  if (!isRoot || given.length === 1) return [...given, root];
  if (last.der.equals(root.der)) return given;
  throw new CertificateInRefused("the certificate file ends with another root than the one in the root file");
}

/** From the root down; the root's own signature is over itself. */
function signatureFaults(chain: readonly Certificate[], { faults }: Findings): void {
  for (const [index, one] of chain.entries()) {
    const above = chain[index + 1] ?? one;
    const name = above === one ? "the root" : index === 0 ? "the certificate" : `certificate ${index + 1} of the chain`;
    if (!verifies(one, above))
      faults.push(`${name} is not signed by ${above === one ? "itself" : "the next one"}, as OpenSSL sees it`);
  }
}

function verifies(certificate: Certificate, issuer: Certificate): boolean {
  try {
    const [parsed, above] = [new X509Certificate(certificate.der), new X509Certificate(issuer.der)];
    return parsed.checkIssued(above) && parsed.verify(above.publicKey);
  } catch {
    return false; // A certificate, a key or an algorithm that OpenSSL does not take.
  }
}
