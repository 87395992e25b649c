/**
 * Certificates of CAs: a template becomes the bytes that will be signed, and those are held against the rules for CA certificates before
 * any key sees them. Root, issuing CA, CA of another's request and cross certificate are the same, but for who signs whom. Pure.
 */
import type { SignatureAlgorithm } from "../keys/signer.ts";
import { assembleCertificate, encodeTbsCertificate, readCertificate, type Certificate } from "../x509/certificate.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  keyIdentifier,
  keyUsage,
  readSubjectKeyIdentifier,
  subjectAltName,
  subjectKeyIdentifier,
  type Extension,
} from "../x509/extensions.ts";
import { encodeDer, octetString } from "../x509/derWriter.ts";
import { nameConstraints, type NameConstraints } from "../x509/nameConstraints.ts";
import { oids } from "../x509/oid.ts";
import { cRLDistributionPoints } from "../x509/revocationExtensions.ts";
import { caLints } from "./caLints/table.ts";
import { LintFailed } from "./lint.ts";

/** Who signs a CA certificate. */
export interface CaIssuer {
  /** DER Name. */
  readonly subject: Buffer;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  readonly algorithm: SignatureAlgorithm;
  /** Its own certificate; none where it signs its own, which is that certificate. */
  readonly certificate: Buffer | undefined;
  /** Where the list is of what it revoked; named in what it signs. Undefined where we publish none for it. */
  readonly crlUrl?: string | undefined;
}

/** What a CA certificate is to say. */
export interface CaTemplate {
  readonly issuer: CaIssuer;
  /** DER Name. */
  readonly subject: Buffer;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  /**
   * The identifier that certificates below name this CA by, where it is not the one that we give our keys: another's CA, that we
   * cross-sign, has its own.
   */
  readonly subjectKeyIdentifier?: Buffer | undefined;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** How many CAs may follow below it; undefined for any number. */
  readonly pathLength: number | undefined;
  /** The trust domain whose SVID it is (X.509-SVID §3.2); undefined for the CA of a PKI without one. */
  readonly trustDomain: string | undefined;
  /** None unless an operator wants them: several verifiers mishandle them. */
  readonly nameConstraints?: NameConstraints | undefined;
}

/** A CA certificate without a signature, and without the lints' blessing. */
export interface PreparedCaCertificate {
  readonly template: CaTemplate;
  readonly serialNumber: Buffer;
  /** Of the issuer's key. */
  readonly algorithm: SignatureAlgorithm;
  readonly tbs: Buffer;
}

declare const linted: unique symbol;

/** Made by `lintCaCertificate` alone; the brand cannot be written elsewhere. */
export type LintedCaCertificate = PreparedCaCertificate & { readonly [linted]: true };

/** Octets of randomness that a CA certificate's serial number takes. */
export const caSerialRandomOctets = 16;

/**
 * Builds the TBSCertificate (RFC 5280 §4.1, §4.2; X.509-SVID §3.2, §4.1, §4.3): an SVID of the trust domain itself, without a path.
 * @param random - sixteen octets, of which 126 bits become the serial number
 * @throws {RangeError} for a template that no certificate can say
 */
export function prepareCaCertificate(template: CaTemplate, { random }: { random: Buffer }): PreparedCaCertificate {
  if (random.length !== caSerialRandomOctets)
    throw new RangeError(`a CA's serial number needs ${caSerialRandomOctets} random octets`);
  const { issuer, pathLength, trustDomain } = template;
  const serialNumber = Buffer.from(random);
  serialNumber[0] = ((random[0] ?? 0) & 0x3f) | 0x40; // Positive and without a leading zero octet; 126 random bits stay.
  const tbs = encodeTbsCertificate({
    serialNumber,
    signatureAlgorithm: issuer.algorithm,
    issuer: issuer.subject,
    notBefore: template.notBefore,
    notAfter: template.notAfter,
    subject: template.subject,
    spki: template.spki,
    extensions: [
      authorityKeyIdentifier(identifierOfIssuer(template)),
      identifierOfSubject(template),
      basicConstraints({ cA: true, ...(pathLength !== undefined && { pathLenConstraint: pathLength }) }),
      keyUsage(["keyCertSign", "cRLSign"]),
      ...(trustDomain === undefined
        ? []
        : [subjectAltName({ dns: [], ip: [], uri: [`spiffe://${trustDomain}`] }, false)]),
      ...(template.nameConstraints === undefined ? [] : [nameConstraints(template.nameConstraints)]),
      // A root's own certificate is on nobody's list.
      ...(issuer.certificate === undefined || issuer.crlUrl === undefined
        ? []
        : [cRLDistributionPoints([issuer.crlUrl])]),
    ],
  });
  return { template, serialNumber, algorithm: issuer.algorithm, tbs };
}

function identifierOfSubject({ spki, subjectKeyIdentifier: given }: CaTemplate): Extension {
  if (given === undefined) return subjectKeyIdentifier(spki);
  return { oid: oids.subjectKeyIdentifier, critical: false, value: encodeDer(octetString(given)) };
}

function identifierOfIssuer({ issuer, subjectKeyIdentifier: given }: CaTemplate): Buffer {
  if (issuer.certificate === undefined) return given ?? keyIdentifier(issuer.spki);
  return keyIdentifierIn(readCertificate(issuer.certificate));
}

/** The identifier by which certificates name this CA (RFC 5280 §4.2.1.2): as its certificate says, else the one that we give to keys. */
export function keyIdentifierIn({ extensions, spki }: Pick<Certificate, "extensions" | "spki">): Buffer {
  const value = extensions.find(({ oid }) => oid === oids.subjectKeyIdentifier)?.value;
  return value === undefined ? keyIdentifier(spki) : readSubjectKeyIdentifier(value);
}

/**
 * Reads the bytes back and holds them against every rule for certificates of CAs.
 * @throws {LintFailed} with all findings
 */
export function lintCaCertificate(prepared: PreparedCaCertificate): LintedCaCertificate {
  // The reader wants a whole certificate; a signature of one zero octet completes it and never leaves this function.
  const certificate = readCertificate(assembleCertificate(prepared.tbs, prepared.algorithm, Buffer.alloc(1)));
  const above = prepared.template.issuer.certificate;
  const issuer = above === undefined ? undefined : readCertificate(above);
  const findings = caLints
    .filter(({ holds }) => {
      try {
        return !holds(certificate, { prepared, issuer });
      } catch {
        return true; // A value that a rule cannot even read does not meet it.
      }
    })
    .map(({ name, source }) => `${name} (${source})`);
  if (findings.length > 0) throw new LintFailed(findings);
  return prepared as LintedCaCertificate;
}
