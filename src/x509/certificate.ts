/**
 * X.509 version 3 certificates (RFC 5280 §4.1): to-be-signed bytes, assembly and strict reading.
 */
import type { SignatureAlgorithm } from "../keys/signer.ts";
import {
  contentOf,
  type DerElement,
  DerError,
  membersOf,
  octetAlignedBitsOf,
  readDer,
  requireOneElement,
  sequenceBytesOf,
  smallIntegerOf,
  tags,
  timeOf,
} from "./der.ts";
import { bitString, constructed, der, encodeDer, sequence, smallInteger, time } from "./derWriter.ts";
import {
  encodeExtension,
  type Extension,
  type GeneralNames,
  noNames,
  readExtensions,
  readSubjectAltName,
} from "./extensions.ts";
import { oids } from "./oid.ts";
import { algorithmIdentifier, signatureAlgorithmOf } from "./signatureAlgorithm.ts";

export type { Extension } from "./extensions.ts";

/** The certificate is not one that is read here. The message is a sentence without any of the bytes. */
export class CertificateError extends Error {
  override readonly name = "CertificateError";
}

/** What a TBSCertificate says. */
export interface TbsCertificate {
  /** Content of the INTEGER: positive, no needless leading zero, at most 20 octets (RFC 5280 §4.1.2.2). */
  readonly serialNumber: Buffer;
  readonly signatureAlgorithm: SignatureAlgorithm;
  /** DER Name. */
  readonly issuer: Buffer;
  /** Whole seconds; both ends belong to the validity (RFC 5280 §4.1.2.5). */
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** DER Name. */
  readonly subject: Buffer;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  /** In the order in which they are written; none twice. */
  readonly extensions: readonly Extension[];
}

/** A certificate that was read. Its buffers are views of one copy of the input. */
export interface Certificate extends Omit<TbsCertificate, "signatureAlgorithm"> {
  readonly der: Buffer;
  /** The signed bytes. */
  readonly tbs: Buffer;
  /** `serialHex` of the serial number. */
  readonly serial: string;
  /** See `signatureAlgorithmOf`; undefined for an algorithm that is not ours. */
  readonly signatureAlgorithm: SignatureAlgorithm | undefined;
  /** DER AlgorithmIdentifier of the signature, whichever it is. */
  readonly signatureIdentifier: Buffer;
  /** As `verifySignature` takes it. Reading a certificate does not verify it. */
  readonly signature: Buffer;
  /** Of the SubjectAltName; all empty where there is none. */
  readonly names: GeneralNames;
}

/**
 * DER TBSCertificate, version 3.
 * @throws {RangeError} for a serial number, time or list of extensions that no certificate may have · {DerError} when a name or the key is
 * not one DER SEQUENCE
 */
export function encodeTbsCertificate(t: TbsCertificate): Buffer {
  if (!isSerialNumber(t.serialNumber)) {
    throw new RangeError("A serial number is a positive integer in its shortest form, of at most 20 octets");
  }
  if (t.notAfter < t.notBefore) throw new RangeError("A certificate's notAfter is not before its notBefore");
  if (new Set(t.extensions.map(({ oid }) => oid)).size !== t.extensions.length) {
    throw new RangeError("A certificate has no extension twice");
  }
  requireOneElement(t.issuer, tags.sequence, "The issuer");
  requireOneElement(t.subject, tags.sequence, "The subject");
  requireOneElement(t.spki, tags.sequence, "The public key");

  const extensions = t.extensions.length > 0 ? [constructed(3, sequence(...t.extensions.map(encodeExtension)))] : [];
  return encodeDer(
    sequence(
      version3,
      der(tags.integer, t.serialNumber),
      algorithmIdentifier(t.signatureAlgorithm),
      t.issuer,
      sequence(time(t.notBefore), time(t.notAfter)),
      t.subject,
      t.spki,
      ...extensions,
    ),
  );
}

const version3 = constructed(0, smallInteger(2));

/** DER Certificate of a TBSCertificate and its signature in the form that X.509 carries (see `Signer.sign`). */
export function assembleCertificate(tbs: Uint8Array, algorithm: SignatureAlgorithm, signature: Uint8Array): Buffer {
  return encodeDer(sequence(tbs, algorithmIdentifier(algorithm), bitString(signature)));
}

/**
 * The serial number in lower-case hexadecimal without separators, two digits to the octet. The sign octet of a serial number whose
 * high bit is set is left out, as OpenSSL and Node do.
 */
export function serialHex(serialNumber: Buffer): string {
  const hex = serialNumber.toString("hex");
  return hex.length > 2 && hex.startsWith("00") ? hex.slice(2) : hex;
}

/** A serial number as people have it: hexadecimal in either case, with or without colons. Undefined for what is none. */
export function readSerialHex(text: string): Buffer | undefined {
  const hex = text.replaceAll(":", "").toLowerCase();
  return /^([0-9a-f]{2}){1,20}$/.test(hex) ? Buffer.from(hex, "hex") : undefined;
}

/** Whether `content` is the content of an INTEGER that RFC 5280 §4.1.2.2 allows as a serial number. */
export function isSerialNumber(content: Buffer): boolean {
  const [first = 0, second = 0] = content;
  if (content.length === 0 || content.length > 20 || first >= 0x80) return false;
  return first > 0 || second >= 0x80;
}

/**
 * Reads exactly one DER certificate of version 3 without unique identifiers. Nothing is verified but the form.
 * @param lenient takes what no CA may write, and what many a self-signed certificate and those of hardware makers have: serial numbers of any
 *   size and sign (RFC 5280 §4.1.2.2 wants readers to cope), years before 2050 as GeneralizedTime
 * @throws {CertificateError}
 */
export function readCertificate(input: Uint8Array, { lenient = false } = {}): Certificate {
  try {
    const bytes = Buffer.from(input);
    const members = membersOf(readDer(bytes), tags.sequence, "The certificate");
    if (members.length !== 3) throw new CertificateError("The certificate has not three members");
    const [tbs, algorithm, signature] = members;
    const { innerAlgorithm, ...content } = readTbs(membersOf(tbs, tags.sequence, "The to-be-signed part"), lenient);
    if (!sequenceBytesOf(algorithm, "The signature algorithm").equals(innerAlgorithm)) {
      throw new CertificateError("The two signature algorithms differ"); // RFC 5280 §4.1.1.2
    }
    return {
      ...content,
      der: bytes,
      tbs: sequenceBytesOf(tbs, "The to-be-signed part"),
      signatureAlgorithm: signatureAlgorithmOf(innerAlgorithm),
      signatureIdentifier: innerAlgorithm,
      signature: octetAlignedBitsOf(signature, "The signature"),
    };
  } catch (error) {
    if (error instanceof DerError) throw new CertificateError(error.message, { cause: error });
    throw error;
  }
}

type TbsContent = Omit<Certificate, "der" | "tbs" | "signatureAlgorithm" | "signatureIdentifier" | "signature"> & {
  innerAlgorithm: Buffer;
};

function readTbs(members: readonly DerElement[], lenient: boolean): TbsContent {
  const [version, serialNumber, algorithm, issuer, validity, subject, spki, extensions, ...more] = members;
  // Version 1 is the default, and then this member is not written.
  const [number] = version?.tag === 0xa0 ? version.children : [];
  if (version?.children.length !== 1 || smallIntegerOf(number, "The version") !== 2) {
    throw new CertificateError("The certificate is not of version 3");
  }
  const serial = contentOf(serialNumber, tags.integer, "The serial number");
  if (!lenient && !isSerialNumber(serial))
    throw new CertificateError("The serial number is not positive, or has over 20 octets");
  const times = membersOf(validity, tags.sequence, "The validity");
  if (times.length !== 2) throw new CertificateError("The validity has not two members");
  if (more.length > 0 || (extensions !== undefined && extensions.tag !== 0xa3)) {
    throw new CertificateError("The to-be-signed part has members that are not read");
  }
  const list = extensions === undefined ? [] : extensionsIn(extensions);
  const names = list.find(({ oid }) => oid === oids.subjectAltName);
  return {
    serialNumber: serial,
    serial: serialHex(serial),
    innerAlgorithm: sequenceBytesOf(algorithm, "The signature algorithm"),
    issuer: sequenceBytesOf(issuer, "The issuer"),
    notBefore: timeOf(times[0], "The notBefore", lenient),
    notAfter: timeOf(times[1], "The notAfter", lenient),
    subject: sequenceBytesOf(subject, "The subject"),
    spki: sequenceBytesOf(spki, "The public key"),
    extensions: list,
    names: names === undefined ? noNames() : readSubjectAltName(names.value),
  };
}

function extensionsIn(element: DerElement): Extension[] {
  if (element.children.length !== 1) throw new CertificateError("The extensions are not one list");
  return readExtensions(element.children[0]);
}
