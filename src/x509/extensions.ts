/**
 * Certificate extensions (RFC 5280 §4.2): building those that Mayfly issues and reading them back. The value of an extension is
 * the content of its `extnValue`.
 */
import { hash } from "node:crypto";
import {
  booleanOf,
  contentOf,
  type DerElement,
  DerError,
  membersOf,
  octetAlignedBitsOf,
  oidOf,
  readDer,
  smallIntegerOf,
  tags,
} from "./der.ts";
import {
  booleanTrue,
  der,
  type DerValue,
  encodeDer,
  objectIdentifier,
  octetString,
  primitive,
  sequence,
  smallInteger,
} from "./derWriter.ts";
import { bytesToIp, ipToBytes, NameError } from "./names.ts";
import { oids } from "./oid.ts";
import { permanentIdentifierName, readPermanentIdentifierName } from "./permanentIdentifier.ts";

/** One extension, of a certificate or of a request. */
export interface Extension {
  /** Dotted. */
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Buffer;
}

/** KeyUsage bits in the order of their numbers (RFC 5280 §4.2.1.3). */
export const keyUsages = [
  "digitalSignature",
  "nonRepudiation",
  "keyEncipherment",
  "dataEncipherment",
  "keyAgreement",
  "keyCertSign",
  "cRLSign",
  "encipherOnly",
  "decipherOnly",
] as const;
export type KeyUsage = (typeof keyUsages)[number];

/** Key purposes that Mayfly issues (RFC 5280 §4.2.1.12, RFC 4945 §5.1.3.12, RFC 4334 §2). */
export const keyPurposes = ["serverAuth", "clientAuth", "codeSigning", "ipsecIKE", "eapOverLAN"] as const;
export type KeyPurpose = (typeof keyPurposes)[number];
const purposeNames = new Map<string, KeyPurpose>(keyPurposes.map((purpose) => [oids[purpose], purpose]));

/** Tag numbers of the primitive kinds of GeneralName that Mayfly issues (RFC 5280 §4.2.1.6). */
const generalNameTags = { dNSName: 2, uniformResourceIdentifier: 6, iPAddress: 7 } as const;

const otherName = 0xa0;
/** Identifier octets of the other kinds. */
const otherKinds = new Map<number, string>([
  [otherName, "otherName"],
  [0x81, "rfc822Name"],
  [0xa3, "x400Address"],
  [0xa4, "directoryName"],
  [0xa5, "ediPartyName"],
  [0x88, "registeredID"],
]);

const visibleAscii = /^[\x21-\x7e]+$/;

/** The BasicConstraints of a certificate. */
export interface BasicConstraints {
  readonly cA: boolean;
  /** How many CA certificates may follow below; only with `cA`. */
  readonly pathLenConstraint?: number;
}

/** The names of a SubjectAltName, by kind and in their order. */
export interface SubjectAltNames {
  readonly dns: readonly string[];
  /** Canonical text. */
  readonly ip: readonly string[];
  readonly uri: readonly string[];
  /** As `parsePermanentIdentifier` takes them. */
  readonly permanentIdentifiers?: readonly string[];
}

/** RFC 5280 §4.2.1.9; critical. @throws {RangeError} for a path length outside of 0 to 127, or on a certificate that is no CA's */
export function basicConstraints({ cA, pathLenConstraint }: BasicConstraints): Extension {
  if (pathLenConstraint !== undefined && !cA) throw new RangeError("Only a CA certificate has a path length");
  const members = cA ? [booleanTrue] : [];
  if (pathLenConstraint !== undefined) members.push(smallInteger(pathLenConstraint));
  return extension(oids.basicConstraints, true, sequence(...members));
}

/** RFC 5280 §4.2.1.3; critical. @throws {RangeError} without any usage */
export function keyUsage(usages: readonly KeyUsage[]): Extension {
  if (usages.length === 0) throw new RangeError("KeyUsage has at least one bit");
  return extension(oids.keyUsage, true, der(tags.bitString, keyUsageContent(usages)));
}

/** Number of unused bits, then the bits without trailing zeros (X.690 §11.2.2). */
function keyUsageContent(usages: readonly KeyUsage[]): Uint8Array {
  let bits = 0;
  for (const usage of usages) bits |= 0x8000 >>> keyUsages.indexOf(usage);
  const octets = (bits & 0xff) === 0 ? [bits >>> 8] : [bits >>> 8, bits & 0xff];
  const last = octets.at(-1) ?? 0;
  return Uint8Array.of(31 - Math.clz32(last & -last), ...octets);
}

/** RFC 5280 §4.2.1.12; not critical. @throws {RangeError} without any purpose */
export function extendedKeyUsage(purposes: readonly KeyPurpose[]): Extension {
  if (purposes.length === 0) throw new RangeError("ExtendedKeyUsage has at least one purpose");
  const members = purposes.map((purpose) => objectIdentifier(oids[purpose]));
  return extension(oids.extendedKeyUsage, false, sequence(...members));
}

/**
 * RFC 5280 §4.2.1.6. Names are written as they are, whatever rules they follow; only what the encoding cannot carry is refused.
 * @throws {RangeError} without any name, or for an empty one or one outside of visible ASCII · {NameError} for an address not in canonical
 * text
 * · {PermanentIdentifierError}
 */
export function subjectAltName(
  { dns, ip, uri, permanentIdentifiers = [] }: SubjectAltNames,
  critical: boolean,
): Extension {
  const names = [
    ...dns.map((name) => primitive(generalNameTags.dNSName, ia5(name))),
    ...ip.map((address) => primitive(generalNameTags.iPAddress, ipToBytes(address))),
    ...uri.map((value) => primitive(generalNameTags.uniformResourceIdentifier, ia5(value))),
    ...permanentIdentifiers.map(permanentIdentifierName),
  ];
  if (names.length === 0) throw new RangeError("SubjectAltName has at least one name");
  return extension(oids.subjectAltName, critical, sequence(...names));
}

function ia5(name: string): Buffer {
  if (!visibleAscii.test(name)) throw new RangeError("A name has a character outside of visible ASCII, or none");
  return Buffer.from(name, "latin1");
}

/** The content of the BIT STRING of a SubjectPublicKeyInfo: what key identifiers and hashes of keys are made of. @throws {DerError} */
export function contentOfPublicKey(spki: Uint8Array): Buffer {
  const [, key] = membersOf(readDer(spki), tags.sequence, "The public key");
  return octetAlignedBitsOf(key, "The public key's value");
}

/** The key identifier of a SubjectPublicKeyInfo: the leftmost 160 bits of SHA-256 of its bit string (RFC 7093 §2, method 1). */
export function keyIdentifier(spki: Uint8Array): Buffer {
  return hash("sha256", contentOfPublicKey(spki), "buffer").subarray(0, 20);
}

/** RFC 5280 §4.2.1.2; not critical. @throws {DerError} when `spki` is not one */
export function subjectKeyIdentifier(spki: Uint8Array): Extension {
  return extension(oids.subjectKeyIdentifier, false, octetString(keyIdentifier(spki)));
}

/** RFC 5280 §4.2.1.1 with the keyIdentifier only; not critical. */
export function authorityKeyIdentifier(issuerKeyIdentifier: Uint8Array): Extension {
  return extension(oids.authorityKeyIdentifier, false, sequence(primitive(0, issuerKeyIdentifier)));
}

function extension(oid: string, critical: boolean, value: DerValue): Extension {
  return { oid, critical, value: encodeDer(value) };
}

/** DER Extension (RFC 5280 §4.1). */
export function encodeExtension({ oid, critical, value }: Extension): DerValue {
  if (critical) return sequence(objectIdentifier(oid), booleanTrue, octetString(value));
  return sequence(objectIdentifier(oid), octetString(value));
}

/**
 * Reads Extensions (RFC 5280 §4.1): at least one, none twice, `critical` not encoded where it is the default.
 * @throws {DerError}
 */
export function readExtensions(element: DerElement | undefined): Extension[] {
  const extensions = membersOf(element, tags.sequence, "The list of extensions").map(readExtension);
  if (extensions.length === 0) throw new DerError("The list of extensions is empty");
  if (new Set(extensions.map(({ oid }) => oid)).size !== extensions.length) {
    throw new DerError("An extension is there twice"); // RFC 5280 §4.2
  }
  return extensions;
}

function readExtension(element: DerElement): Extension {
  const members = membersOf(element, tags.sequence, "An extension");
  const critical = members.length === 3;
  if (!critical && members.length !== 2) throw new DerError("An extension has not two or three members");
  if (critical && !booleanOf(members[1], "The criticality of an extension")) {
    throw new DerError("An extension encodes the default criticality"); // X.690 §11.5
  }
  const oid = oidOf(members[0], "The identifier of an extension");
  return { oid, critical, value: contentOf(members.at(-1), tags.octetString, "The value of an extension") };
}

/** How strictly an extension is read. */
export interface ExtensionReading {
  /** Takes what makers of hardware write besides DER: a default that is encoded, zeros at the end of named bits. */
  readonly lenient?: boolean;
}

/** @throws {DerError} */
export function readBasicConstraints(value: Uint8Array, { lenient = false }: ExtensionReading = {}): BasicConstraints {
  const members = membersOf(readDer(value), tags.sequence, "BasicConstraints");
  if (members.length === 0) return { cA: false };
  if (!booleanOf(members[0], "The cA of BasicConstraints")) {
    if (lenient && members.length === 1) return { cA: false };
    throw new DerError("BasicConstraints encodes the default cA");
  }
  if (members.length === 1) return { cA: true };
  if (members.length > 2) throw new DerError("BasicConstraints has more than two members");
  return { cA: true, pathLenConstraint: smallIntegerOf(members[1], "The pathLenConstraint of BasicConstraints") };
}

/** The usages in the order of their bits. @throws {DerError} for none, unknown ones, or trailing zero bits (if not lenient) */
export function readKeyUsage(value: Uint8Array, { lenient = false }: ExtensionReading = {}): KeyUsage[] {
  const content = contentOf(readDer(value), tags.bitString, "KeyUsage");
  const [, first = 0, second = 0] = content;
  const bits = (first << 8) | second;
  const usages = keyUsages.filter((_, i) => (bits & (0x8000 >>> i)) !== 0);
  // X.690 §11.2.2 leaves one encoding for these bits; unknown bits make another one, too.
  const known = lenient ? content.length <= 3 && (bits & 0x7f) === 0 : content.equals(keyUsageContent(usages));
  if (usages.length === 0 || !known) throw new DerError("KeyUsage has no bits, unknown ones, or trailing zeros");
  return usages;
}

/** Key purposes by name where Mayfly has one, else dotted. @throws {DerError} */
export function readExtendedKeyUsage(value: Uint8Array): string[] {
  const members = membersOf(readDer(value), tags.sequence, "ExtendedKeyUsage");
  if (members.length === 0) throw new DerError("ExtendedKeyUsage is empty");
  return members.map((member) => {
    const oid = oidOf(member, "A purpose of ExtendedKeyUsage");
    return purposeNames.get(oid) ?? oid;
  });
}

/** @throws {DerError} */
export function readSubjectKeyIdentifier(value: Uint8Array): Buffer {
  return contentOf(readDer(value), tags.octetString, "SubjectKeyIdentifier");
}

/** The keyIdentifier. @throws {DerError} also where the extension names the issuer in another way only */
export function readAuthorityKeyIdentifier(value: Uint8Array): Buffer {
  const [first] = membersOf(readDer(value), tags.sequence, "AuthorityKeyIdentifier");
  return contentOf(first, 0x80, "The keyIdentifier of AuthorityKeyIdentifier");
}

/** The names of a SubjectAltName that was read; `other` has the kinds of those that Mayfly does not issue. */
export interface GeneralNames {
  /** As written: visible ASCII or spaces, not empty. */
  readonly dns: string[];
  /** Canonical text. */
  readonly ip: string[];
  /** As written, in the same characters as `dns`. */
  readonly uri: string[];
  /** As `parsePermanentIdentifier` takes them; an otherName that says something else is in `other`. */
  readonly permanentIdentifiers: string[];
  /** For example "rfc822Name"; a kind is there as often as its names. */
  readonly other: string[];
}

/** The names of what has none. */
export const noNames = (): GeneralNames => ({ dns: [], ip: [], uri: [], permanentIdentifiers: [], other: [] });

/** @throws {DerError} when there is no name, or one is malformed */
export function readSubjectAltName(value: Uint8Array): GeneralNames {
  const members = membersOf(readDer(value), tags.sequence, "SubjectAltName");
  if (members.length === 0) throw new DerError("SubjectAltName is empty"); // RFC 5280 §4.2.1.6
  const names: GeneralNames = noNames();
  for (const member of members) {
    if (member.tag === (0x80 | generalNameTags.dNSName)) names.dns.push(textOfName(member, "A dNSName"));
    else if (member.tag === (0x80 | generalNameTags.iPAddress)) names.ip.push(addressOf(member));
    else if (member.tag === (0x80 | generalNameTags.uniformResourceIdentifier))
      names.uri.push(textOfName(member, "A URI"));
    else if (member.tag === otherName) readOtherName(member, names);
    else names.other.push(otherKinds.get(member.tag) ?? notAGeneralName());
  }
  return names;
}

function readOtherName(member: DerElement, { permanentIdentifiers, other }: GeneralNames): void {
  const identifier = readPermanentIdentifierName(member);
  if (identifier === undefined) other.push("otherName");
  else permanentIdentifiers.push(identifier);
}

function textOfName(member: DerElement, what: string): string {
  const text = contentOf(member, member.tag, what).toString("latin1");
  // IA5 has control characters, too, but no name has them, and NUL has fooled comparisons.
  if (!/^[\x20-\x7e]+$/.test(text))
    throw new DerError(`${what} is empty or has a character outside of printable ASCII`);
  return text;
}

function addressOf(member: DerElement): string {
  try {
    return bytesToIp(contentOf(member, member.tag, "An iPAddress"));
  } catch (error) {
    if (error instanceof NameError) throw new DerError(error.message, { cause: error });
    throw error;
  }
}

function notAGeneralName(): never {
  throw new DerError("SubjectAltName has a member that is not a GeneralName");
}
