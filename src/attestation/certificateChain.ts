/**
 * The way from a certificate of evidence to a root that the source pins (RFC 5280 §6, the part that evidence needs). Pure: bytes, roots
 * and `now` in; the chain, or the reason why there is none, out.
 *
 * The certificates are taken in the order in which they are given and nothing is searched for, so that there is one chain or none. All sizes,
 * counts and keys are checked before the first signature, and signatures from the root down: no key does work here before one above it vouched
 * for it.
 */
import { hash, type KeyObject } from "node:crypto";
import type { LRU } from "../cache/lru.ts";
import { type Certificate, CertificateError, readCertificate } from "../x509/certificate.ts";
import { DerError, contentOf, membersOf, readDer, tags } from "../x509/der.ts";
import {
  type ExtensionReading,
  type KeyUsage,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
  readSubjectKeyIdentifier,
} from "../x509/extensions.ts";
import { oids } from "../x509/oid.ts";
import { pemDecode } from "../x509/pem.ts";
import { EvidenceRefused, invalid, malformed } from "./evidence.ts";
import { readVerificationKey, requireVerificationKey, verifyForeignSignature } from "./verificationKey.ts";

/** Most certificates between the leaf and the root. */
export const intermediatesMax = 4;
const keyOfChain = "A key in the certificate chain";
/** Largest certificate, DER. */
export const certificateBytesMax = 16_384;

/** What a source trusts: roots it has, and fingerprints (SHA-256 of the DER, lower-case hex) of roots that come with the evidence. */
export interface TrustedRoots {
  readonly certificates: readonly Certificate[];
  readonly fingerprints: readonly string[];
}

/** What a chain must be besides valid. */
export interface ChainRules {
  readonly now: Date;
  /** How much earlier than its notBefore a certificate counts, for clocks that differ; 0 unless told. */
  readonly clockSkewSeconds?: number;
  /** OIDs of critical extensions that the caller deals with itself; of others, RFC 5280 §4.2 wants the certificate refused. */
  readonly criticalExtensions?: readonly string[];
  /** A usage that the leaf must state. */
  readonly leafKeyUsage?: KeyUsage;
  /** A key purpose (OID) that the leaf must state, and each CA between it and the root that states any. */
  readonly leafPurpose?: string;
  /** The same of those CAs, where the leaf's purposes are the caller's affair. */
  readonly purposeOfCas?: string;
  /** Signatures that verified before. Kept by what both certificates are as a whole, and reached only from a pinned root. */
  readonly verified?: VerifiedSignatures;
}

/** SHA-256 over issuer and certificate, both whole → true. */
export type VerifiedSignatures = LRU<string, true>;

/** A chain that holds. */
export interface CertificateChain {
  readonly leaf: Certificate;
  /** From the leaf to the root, both included. */
  readonly certificates: readonly Certificate[];
  readonly root: Certificate;
  /** SHA-256 of the root, lower-case hex. */
  readonly rootSha256: string;
  /** The leaf's. */
  readonly publicKey: KeyObject;
}

/**
 * Verifies the chain from `leaf` over `intermediates` to a root.
 * @param intermediates each the issuer of the one before it, the first of the leaf. The root may stand at the end; else it is one of the
 *   source's certificates
 * @throws {EvidenceRefused} evidenceMalformed, evidenceExpired (or not valid yet), evidenceInvalid
 */
export function verifyChain(
  leaf: Uint8Array,
  intermediates: readonly Uint8Array[],
  roots: TrustedRoots,
  rules: ChainRules,
): CertificateChain {
  // One more than the intermediates: the root itself.
  if (intermediates.length > intermediatesMax + 1) throw tooMany();
  const given = [leaf, ...intermediates].map(readForeignCertificate);
  const chain = withRoot(given, roots);
  if (new Set(chain.map(({ der }) => fingerprintOf(der))).size !== chain.length) {
    throw invalid("The certificate chain has a certificate twice");
  }
  if (chain.length > intermediatesMax + 2) throw tooMany();
  for (const { spki } of chain) requireVerificationKey(spki, keyOfChain);
  requireLeaf(chain, rules);
  for (const [depth, certificate] of chain.entries()) {
    requireKnownExtensions(certificate, rules.criticalExtensions ?? []);
    if (depth > 0) requireIssuer(certificate, chain[depth - 1], depth - 1);
    if (depth > 0 && depth < chain.length - 1) requireConstraints(certificate, rules);
  }
  for (const certificate of chain) requireValidAt(certificate, rules);
  requireSignatures(chain, rules.verified);

  const [first, root] = [chain[0], chain.at(-1)];
  if (first === undefined || root === undefined) throw new TypeError("a chain has a leaf");
  const publicKey = readVerificationKey(first.spki, keyOfChain);
  return { leaf: first, certificates: chain, root, rootSha256: fingerprintOf(root.der), publicKey };
}

/**
 * A certificate of somebody else's CA: strict DER, but any serial number (AMD's certificates of chips have 0).
 * @throws {EvidenceRefused} evidenceMalformed
 */
export function readForeignCertificate(der: Uint8Array): Certificate {
  if (der.length > certificateBytesMax) {
    throw malformed(`A certificate of the chain has more than ${certificateBytesMax} bytes`);
  }
  try {
    return readCertificate(der, { lenient: true });
  } catch (error) {
    if (error instanceof CertificateError || error instanceof DerError) {
      throw malformed("A certificate of the chain is not a DER certificate of version 3");
    }
    throw error;
  }
}

/**
 * The certificates of a PEM text from the configuration.
 * @throws {Error} with a sentence about what is wrong
 */
export function readPemCertificates(pem: string): Certificate[] {
  return pemDecode(pem, "CERTIFICATE").map((der) => readCertificate(der, { lenient: true }));
}

/** SHA-256 of a certificate, lower-case hex: what a source pins a root by. */
export function fingerprintOf(der: Uint8Array): string {
  return hash("sha256", der, "hex");
}

/** The chain with its root at the end: the last one given, where it is pinned, or the one of the source's that signed the last one. */
function withRoot(given: readonly Certificate[], { certificates, fingerprints }: TrustedRoots): readonly Certificate[] {
  const last = given.at(-1);
  if (last === undefined) throw new TypeError("a chain has a leaf");
  const fingerprint = fingerprintOf(last.der);
  if (fingerprints.includes(fingerprint) || certificates.some(({ der }) => der.equals(last.der))) {
    if (given.length > 1) return given;
    throw invalid("The certificate is a root itself, and no platform signs evidence with that");
  }
  const named = certificates.filter(({ subject }) => subject.equals(last.issuer));
  // Several roots may have one name, as one that follows another; how many are tried then is the configuration's choice.
  const root = named.length > 1 ? named.find((candidate) => isSignedBy(last, candidate)) : named[0];
  if (root === undefined) throw invalid("The certificate chain does not end in a root that the source trusts");
  return [...given, root];
}

function isSignedBy({ signatureIdentifier, tbs, signature }: Certificate, issuer: Certificate): boolean {
  return verifyForeignSignature(signatureIdentifier, readVerificationKey(issuer.spki, "A root's key"), tbs, signature);
}

/** What the certificate of a platform must not be, and what it must say. */
function requireLeaf([leaf]: readonly Certificate[], { leafKeyUsage, leafPurpose }: ChainRules): void {
  if (leaf === undefined) throw new TypeError("a chain has a leaf");
  if (extensionOf(leaf, oids.basicConstraints, readBasicConstraints)?.cA === true) {
    throw invalid("The certificate that signed the evidence is a CA's");
  }
  const usages = extensionOf(leaf, oids.keyUsage, readKeyUsage);
  if (leafKeyUsage !== undefined && usages?.includes(leafKeyUsage) !== true) {
    throw invalid(`The certificate that signed the evidence is not for ${leafKeyUsage}`);
  }
  const purposes = extensionOf(leaf, oids.extendedKeyUsage, readExtendedKeyUsage);
  if (leafPurpose !== undefined && purposes?.includes(leafPurpose) !== true) {
    throw invalid("The certificate that signed the evidence is not for this purpose");
  }
}

/** RFC 5280 §6.1.4 (k) to (n), and §6.1.3 (a)(4): `certificate` may issue `below`, under which there are `depth` more CAs. */
function requireIssuer(certificate: Certificate, below: Certificate | undefined, depth: number): void {
  if (below === undefined || !certificate.subject.equals(below.issuer)) {
    throw invalid("A certificate of the chain was issued by another name than the next one's");
  }
  const constraints = extensionOf(certificate, oids.basicConstraints, readBasicConstraints);
  if (constraints?.cA !== true) throw invalid("A certificate of the chain that issued another one is not a CA's");
  const { pathLenConstraint } = constraints;
  if (pathLenConstraint !== undefined && depth > pathLenConstraint) {
    throw invalid("A CA of the chain may not have so many CAs below it");
  }
  const usages = extensionOf(certificate, oids.keyUsage, readKeyUsage);
  if (usages !== undefined && !usages.includes("keyCertSign")) {
    throw invalid("A certificate of the chain that issued another one is not for that");
  }
  // §4.2.1.1: two CAs of one name are told apart by their keys.
  const wanted = extensionOf(below, oids.authorityKeyIdentifier, keyIdentifierOf);
  const own = extensionOf(certificate, oids.subjectKeyIdentifier, readSubjectKeyIdentifier);
  if (wanted !== undefined && own !== undefined && !wanted.equals(own)) {
    throw invalid("A certificate of the chain names another key of its issuer");
  }
}

/**
 * What a CA may be held to by the one above: the purposes of whatever is below (as browsers and operating systems take an ExtendedKeyUsage
 * there), and the names. The latter are to be critical (RFC 5280 §4.2.1.10) and not always are; they are not known here, so that such a CA is
 * refused either way.
 */
function requireConstraints(certificate: Certificate, { leafPurpose, purposeOfCas = leafPurpose }: ChainRules): void {
  const purposes = extensionOf(certificate, oids.extendedKeyUsage, readExtendedKeyUsage);
  if (
    purposeOfCas !== undefined &&
    purposes?.some((one) => one === purposeOfCas || one === oids.anyExtendedKeyUsage) === false
  ) {
    throw invalid("A CA of the chain may not issue certificates for this purpose");
  }
  if (certificate.extensions.some(({ oid }) => oid === oids.nameConstraints)) {
    throw invalid("A CA of the chain may issue certificates for certain names only, which is not looked into here");
  }
}

/** The keyIdentifier of an AuthorityKeyIdentifier, where it has one: issuer and serial number may stand there as well. */
function keyIdentifierOf(value: Buffer): Buffer | undefined {
  const member = membersOf(readDer(value), tags.sequence, "AuthorityKeyIdentifier").find(({ tag }) => tag === 0x80);
  return member && contentOf(member, 0x80, "The keyIdentifier");
}

/** Policies are here because every one will do: what would change that (RFC 5280 §4.2.1.11, §4.2.1.14) is critical and not known here. */
const dealtWith: readonly string[] = [
  oids.certificatePolicies,
  oids.basicConstraints,
  oids.keyUsage,
  oids.extendedKeyUsage,
  oids.subjectAltName,
  oids.subjectKeyIdentifier,
  oids.authorityKeyIdentifier,
];

function requireKnownExtensions({ extensions }: Certificate, allowed: readonly string[]): void {
  if (extensions.some(({ critical, oid }) => critical && !dealtWith.includes(oid) && !allowed.includes(oid))) {
    throw invalid("A certificate of the chain has a critical extension that is not known here");
  }
}

function requireValidAt({ notBefore, notAfter }: Certificate, { now, clockSkewSeconds = 0 }: ChainRules): void {
  if (now.getTime() > notAfter.getTime()) {
    throw new EvidenceRefused("evidenceExpired", "A certificate of the chain has expired");
  }
  if (now.getTime() + clockSkewSeconds * 1000 < notBefore.getTime()) {
    throw new EvidenceRefused("evidenceExpired", "A certificate of the chain is not valid yet");
  }
}

/** From the root down. The root is pinned as it is: what it says of itself needs no signature. */
function requireSignatures(chain: readonly Certificate[], verified?: VerifiedSignatures): void {
  for (let depth = chain.length - 1; depth > 0; depth--) {
    const [issuer, certificate] = [chain[depth], chain[depth - 1]];
    if (issuer === undefined || certificate === undefined) throw new TypeError("a chain has no gaps");
    const id = hash("sha256", Buffer.concat([hash("sha256", issuer.der, "buffer"), certificate.der]), "base64url");
    if (verified?.get(id) === true) continue;
    const key = readVerificationKey(issuer.spki, keyOfChain);
    if (!verifyForeignSignature(certificate.signatureIdentifier, key, certificate.tbs, certificate.signature)) {
      throw invalid("A signature of the certificate chain does not verify, or is of an algorithm that is not taken");
    }
    verified?.set(id, true);
  }
}

function extensionOf<T>(
  { extensions }: Certificate,
  oid: string,
  read: (value: Buffer, reading: ExtensionReading) => T,
): T | undefined {
  const extension = extensions.find((candidate) => candidate.oid === oid);
  try {
    return extension && read(extension.value, { lenient: true });
  } catch (error) {
    if (error instanceof DerError) {
      throw malformed("A certificate of the chain has a malformed extension");
    }
    throw error;
  }
}

function tooMany(): EvidenceRefused {
  return malformed(`The certificate chain has more than ${intermediatesMax} intermediates`);
}
