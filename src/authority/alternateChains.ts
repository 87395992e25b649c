/**
 * Alternate chains (RFC 8555 §7.4.2): other ways up from a leaf, by a certificate that somebody else gave to the issuing CA's key or to
 * the root's. Configuration names files of such chains, and ceremonies bring them into the database. Each is looked at before it is offered,
 * so that no client gets one that does not hold.
 */
import { X509Certificate } from "node:crypto";

import { CertificateError, readCertificate, type Certificate } from "../x509/certificate.ts";
import { DerError } from "../x509/der.ts";
import { readBasicConstraints, readSubjectKeyIdentifier } from "../x509/extensions.ts";
import { oids } from "../x509/oid.ts";
import { pemDecode, PemError } from "../x509/pem.ts";
import { keyIdentifierIn } from "./caCertificate.ts";
import type { StoredChain } from "./ceremonyPorts.ts";
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

/** A chain that is not offered, and why. */
class ChainRefused extends Error {
  override readonly name = "ChainRefused";
}

/**
 * The alternate chains of each issuing CA, by its id: those of files in their order, then those of the database. One of the database that
 * does not hold any more, because it expired or its CA retired, is passed over.
 * @param start - when the files counted: what expires afterwards stops no process that runs
 * @throws {Error} naming the file, and what is wrong with it
 */
export function readAlternateChains(
  files: readonly ChainFile[],
  stored: readonly StoredChain[],
  own: OwnCertificates,
  { start, now }: { start: Date; now: Date },
): ReadonlyMap<string, readonly Chain[]> {
  const chains = new Map<string, Chain[]>(own.issuing.map(({ id }) => [id, []]));
  for (const { file, pem } of files) {
    const expected = (what: string): Error =>
      new Error(`hierarchy.alternateChainFiles: ${JSON.stringify(file)}: expected ${what}`);
    for (const { id, chain } of chainsOf(certificatesIn(pem, expected), own, start, expected)) {
      const known = chains.get(id) ?? [];
      if (known.some((other) => other.id === chain.id)) throw expected("a chain that no other file has");
      known.push(chain);
    }
  }
  for (const { id, chain } of stored.flatMap((one) => usableChains(one, own, now))) {
    const known = chains.get(id) ?? [];
    if (!known.some((other) => other.id === chain.id)) known.push(chain);
  }
  return chains;
}

function usableChains({ certificates }: StoredChain, own: OwnCertificates, now: Date): OwnChain[] {
  try {
    const read = certificates.map((one) => readCertificate(one));
    return chainsOf(read, own, now, (what) => new ChainRefused(what));
  } catch (error) {
    if (error instanceof ChainRefused) return [];
    throw error;
  }
}

/**
 * The chain of a file for the database, and the ids of the issuing CAs that it is for.
 * @throws {Error} with what was expected of the file
 */
export function chainForDatabase(
  { file, pem }: ChainFile,
  own: OwnCertificates,
  now: Date,
): { chain: Chain; issuerIds: readonly string[] } {
  const expected = (what: string): Error => new Error(`${JSON.stringify(file)}: expected ${what}`);
  const certificates = certificatesIn(pem, expected);
  const fitting = chainsOf(certificates, own, now, expected);
  if (fitting.length === 0) throw expected("a certificate for a root that certified an issuing CA");
  return { chain: chainOf(certificates.map(({ der }) => der)), issuerIds: fitting.map(({ id }) => id) };
}

type Expected = (what: string) => Error;

/** A chain, and the issuing CA that it leads up from. */
interface OwnChain {
  readonly id: string;
  readonly chain: Chain;
}

/** The certificates behind each issuing CA that they fit. */
function chainsOf(
  certificates: readonly Certificate[],
  { roots, issuing, chains }: OwnCertificates,
  now: Date,
  expected: Expected,
): OwnChain[] {
  const [first] = certificates;
  if (first === undefined) throw expected("PEM certificates");
  const mine = issuing.filter(({ certificate }) => isOfSameCa(first, readCertificate(certificate)));
  const root = roots.find(({ certificate }) => isOfSameCa(first, readCertificate(certificate)));
  const same = root ?? mine[0];
  if (same === undefined)
    throw expected("a first certificate with the subject and the key of the root or of the issuing CA");
  if ([...roots, ...issuing].some(({ certificate }) => certificate.equals(first.der)))
    throw expected("another certificate than the CA's own, such as a cross-signed one");
  checkIdentifier(first, readCertificate(same.certificate), expected);
  checkChain(certificates, root === undefined ? 0 : 1, now, expected);
  const ders = certificates.map(({ der }) => der);
  if (root === undefined) return mine.map(({ id }) => ({ id, chain: chainOf(ders) }));
  const below = issuing.filter((one) => isCertifiedBy(one, root.certificate, chains));
  return below.map(({ id }) => ({ id, chain: chainOf([...(chains.get(id)?.certificates ?? []), ...ders]) }));
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
    checkPathLength(certificate, below + index, which, expected);
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

/** RFC 5280 §4.2.1.9: how many CAs may follow. */
function checkPathLength({ extensions }: Certificate, below: number, which: string, expected: Expected): void {
  const constraints = extensions.find(({ oid }) => oid === oids.basicConstraints)?.value;
  const { pathLenConstraint } = constraints === undefined ? {} : readBasicConstraints(constraints);
  if (pathLenConstraint !== undefined && pathLenConstraint < below)
    throw expected(`CA certificates that allow the ones below them; ${which} has the path length ${pathLenConstraint}`);
}

/** RFC 5280 §4.2.1.2: a certificate below names its issuer by one identifier, which fits all certificates of that CA or none. */
function checkIdentifier({ extensions }: Certificate, ca: Certificate, expected: Expected): void {
  const identifier = extensions.find(({ oid }) => oid === oids.subjectKeyIdentifier)?.value;
  if (identifier !== undefined && !readSubjectKeyIdentifier(identifier).equals(keyIdentifierIn(ca)))
    throw expected(`the subject key identifier ${keyIdentifierIn(ca).toString("hex")} in certificate 1`);
}
