/**
 * Alternate chains (RFC 8555 §7.4.2): other ways up from a leaf, by a certificate that somebody else gave to the issuing CA's key or to
 * the root's. Each is looked at when the server starts, so that no client gets one that does not hold.
 */
import { X509Certificate } from "node:crypto";

import { CertificateError, readCertificate, type Certificate } from "../x509/certificate.ts";
import { DerError } from "../x509/der.ts";
import { keyIdentifier, readBasicConstraints, readSubjectKeyIdentifier } from "../x509/extensions.ts";
import { oids } from "../x509/oid.ts";
import { pemDecode, PemError } from "../x509/pem.ts";
import { chainOf, type Chain } from "./chain.ts";

/** A configured file, with what is in it. */
export interface ChainFile {
  readonly file: string;
  readonly pem: string;
}

/** The CA certificates that a chain may start beside, of now and of before. */
export interface OwnCertificates {
  readonly roots: readonly { readonly id: string; readonly certificate: Buffer }[];
  readonly issuing: readonly OwnIssuing[];
  /** From each issuing CA up to below its root, by its id. */
  readonly chains: ReadonlyMap<string, Chain>;
}

type OwnIssuing = OwnCertificates["roots"][number];

/** More certificates than any chain has. */
const certificatesMax = 10;

/**
 * The alternate chains of each issuing CA, by its id, in the order of the files.
 * @throws {Error} naming the file, and what is wrong with it
 */
export function readAlternateChains(
  files: readonly ChainFile[],
  own: OwnCertificates,
  now: Date,
): ReadonlyMap<string, readonly Chain[]> {
  const chains = new Map<string, Chain[]>(own.issuing.map(({ id }) => [id, []]));
  for (const { file, pem } of files) {
    const expected = (what: string): Error =>
      new Error(`hierarchy.alternateChainFiles: ${JSON.stringify(file)}: expected ${what}`);
    for (const { id, certificates } of chainsIn(pem, own, now, expected)) {
      const known = chains.get(id) ?? [];
      const chain = chainOf(certificates);
      if (known.some((other) => other.id === chain.id)) throw expected("a chain that no other file has");
      known.push(chain);
    }
  }
  return chains;
}

type Expected = (what: string) => Error;

/** The file's certificates behind each issuing CA that they fit. */
function chainsIn(
  pem: string,
  { roots, issuing, chains }: OwnCertificates,
  now: Date,
  expected: Expected,
): { id: string; certificates: Buffer[] }[] {
  const certificates = certificatesIn(pem, expected);
  const [first] = certificates;
  if (first === undefined) throw expected("PEM certificates");
  const mine = issuing.filter(({ certificate }) => isOfSameCa(first, readCertificate(certificate)));
  const root = roots.find(({ certificate }) => isOfSameCa(first, readCertificate(certificate)));
  if (root === undefined && mine.length === 0)
    throw expected("a first certificate with the subject and the key of the root or of the issuing CA");
  if ([...roots, ...issuing].some(({ certificate }) => certificate.equals(first.der)))
    throw expected("another certificate than the CA's own, such as a cross-signed one");
  checkChain(certificates, root === undefined ? 0 : 1, now, expected);
  const ders = certificates.map(({ der }) => der);
  if (root === undefined) return mine.map(({ id }) => ({ id, certificates: ders }));
  const below = issuing.filter((one) => isCertifiedBy(one, root.certificate, chains));
  return below.map(({ id }) => ({ id, certificates: [...(chains.get(id)?.certificates ?? []), ...ders] }));
}

/** True where the topmost certificate of its standard chain was issued by this root. */
function isCertifiedBy({ id }: OwnIssuing, root: Buffer, chains: OwnCertificates["chains"]): boolean {
  const top = chains.get(id)?.certificates.at(-1);
  return top !== undefined && readCertificate(top).issuer.equals(readCertificate(root).subject);
}

function certificatesIn(pem: string, expected: Expected): Certificate[] {
  try {
    const blocks = pemDecode(pem, "CERTIFICATE");
    if (blocks.length > certificatesMax) throw expected(`at most ${certificatesMax} certificates`);
    return blocks.map((block) => readCertificate(block));
  } catch (error) {
    if (error instanceof PemError || error instanceof CertificateError || error instanceof DerError)
      throw expected(`PEM certificates and nothing else (${error.message})`);
    throw error;
  }
}

const isOfSameCa = ({ subject, spki }: Certificate, ca: Certificate): boolean =>
  subject.equals(ca.subject) && spki.equals(ca.spki);

/** Each is a CA that may have what is below it, is valid now, and is certified by the next; the last one's issuer is not here. */
function checkChain(chain: readonly Certificate[], below: number, now: Date, expected: Expected): void {
  for (const [index, certificate] of chain.entries()) {
    const which = `certificate ${index + 1}`;
    const parsed = new X509Certificate(certificate.der);
    if (!parsed.ca) throw expected(`CA certificates; ${which} is none`);
    checkExtensions(certificate, below + index, which, expected);
    if (certificate.notBefore > now || certificate.notAfter <= now)
      throw expected(
        `certificates that are valid now; ${which} is from ${certificate.notBefore.toISOString()} to ${certificate.notAfter.toISOString()}`,
      );
    const above = chain[index + 1];
    if (above === undefined) continue;
    const issuer = new X509Certificate(above.der);
    if (!certificate.issuer.equals(above.subject) || !parsed.checkIssued(issuer) || !parsed.verify(issuer.publicKey))
      throw expected(`each certificate to be certified by the next; ${which} is not`);
  }
}

/** RFC 5280 §4.2.1.9: how many CAs may follow; §4.2.1.2: a leaf names its issuer by the identifier that we give our keys. */
function checkExtensions({ extensions, spki }: Certificate, below: number, which: string, expected: Expected): void {
  const value = (oid: string): Buffer | undefined => extensions.find((one) => one.oid === oid)?.value;
  const constraints = value(oids.basicConstraints);
  const { pathLenConstraint } = constraints === undefined ? {} : readBasicConstraints(constraints);
  if (pathLenConstraint !== undefined && pathLenConstraint < below)
    throw expected(`CA certificates that allow the ones below them; ${which} has the path length ${pathLenConstraint}`);
  const identifier = value(oids.subjectKeyIdentifier);
  if (which === "certificate 1" && identifier !== undefined) {
    if (!readSubjectKeyIdentifier(identifier).equals(keyIdentifier(spki)))
      throw expected(`the subject key identifier ${keyIdentifier(spki).toString("hex")} in ${which}`);
  }
}
