/**
 * A TBSCertificate as it is written (RFC 5280 §4.1), for those who judge it: what no certificate should say is read like anything else, as
 * long as it is DER and has the members of a TBSCertificate. `readCertificate` is for those who want a certificate that is right.
 */
import {
  booleanOf,
  contentOf,
  type DerElement,
  DerError,
  membersOf,
  octetAlignedBitsOf,
  oidOf,
  readDer,
  sequenceBytesOf,
  smallIntegerOf,
  tags,
  timeOf,
} from "./der.ts";
import type { Extension } from "./extensions.ts";
import { oids } from "./oid.ts";

/** One end of the validity. */
export interface WrittenTime {
  readonly date: Date;
  /** False for UTCTime. */
  readonly generalized: boolean;
}

/** The public key, in the terms that rules about keys have. */
export interface WrittenKey {
  /** Dotted. */
  readonly algorithm: string;
  /** Of an elliptic curve by name; dotted. */
  readonly curve: string | undefined;
  /** First octet of an elliptic-curve point: 4 where it is uncompressed. */
  readonly pointForm: number | undefined;
  /** Contents of the INTEGERs of an RSA key. */
  readonly modulus: Buffer | undefined;
  readonly exponent: Buffer | undefined;
}

export interface TbsReading {
  /** As written: 2 is version 3. Undefined where it is left out, which is version 1. */
  readonly version: number | undefined;
  /** Content of the INTEGER. */
  readonly serialNumber: Buffer;
  /** DER AlgorithmIdentifier. */
  readonly signature: Buffer;
  /** DER Name. */
  readonly issuer: Buffer;
  readonly notBefore: WrittenTime;
  readonly notAfter: WrittenTime;
  /** DER Name. */
  readonly subject: Buffer;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  /** Content of its BIT STRING. */
  readonly subjectPublicKey: Buffer;
  readonly key: WrittenKey;
  /** Whether there is a unique identifier of issuer or subject. */
  readonly uniqueIdentifiers: boolean;
  /** In their order; what is there twice is here twice. */
  readonly extensions: readonly Extension[];
}

/** @throws {DerError} where the bytes are not DER, or have not the members of a TBSCertificate */
export function readTbs(tbs: Uint8Array): TbsReading {
  const members = membersOf(readDer(tbs), tags.sequence, "The to-be-signed part");
  const hasVersion = members[0]?.tag === 0xa0;
  const [serialNumber, signature, issuer, validity, subject, spki, ...optional] = hasVersion
    ? members.slice(1)
    : members;
  const [notBefore, notAfter, ...more] = membersOf(validity, tags.sequence, "The validity");
  if (more.length > 0) throw new DerError("The validity has more than two members");
  const [algorithm, bits] = membersOf(spki, tags.sequence, "The public key");
  const subjectPublicKey = octetAlignedBitsOf(bits, "The public key's value");
  const last = optional.at(-1);
  const list = last?.tag === 0xa3 ? last : undefined;
  const uniqueIdentifiers = list === undefined ? optional : optional.slice(0, -1);
  if (uniqueIdentifiers.some(({ tag }) => tag !== 0x81 && tag !== 0x82) || uniqueIdentifiers.length > 2)
    throw new DerError("The to-be-signed part has members that are not of a certificate");
  return {
    version: hasVersion ? smallIntegerOf(members[0]?.children[0], "The version") : undefined,
    serialNumber: contentOf(serialNumber, tags.integer, "The serial number"),
    signature: sequenceBytesOf(signature, "The signature algorithm"),
    issuer: sequenceBytesOf(issuer, "The issuer"),
    notBefore: writtenTime(notBefore, "The notBefore"),
    notAfter: writtenTime(notAfter, "The notAfter"),
    subject: sequenceBytesOf(subject, "The subject"),
    spki: sequenceBytesOf(spki, "The public key"),
    subjectPublicKey,
    key: writtenKey(algorithm, subjectPublicKey),
    uniqueIdentifiers: uniqueIdentifiers.length > 0,
    extensions:
      list === undefined ? [] : membersOf(list.children[0], tags.sequence, "The extensions").map(writtenExtension),
  };
}

const writtenTime = (element: DerElement | undefined, what: string): WrittenTime => ({
  date: timeOf(element, what, true),
  generalized: element?.tag === tags.generalizedTime,
});

function writtenKey(identifier: DerElement | undefined, bits: Buffer): WrittenKey {
  const [type, parameters] = membersOf(identifier, tags.sequence, "The public key's algorithm");
  const algorithm = oidOf(type, "The public key's algorithm");
  const none = { algorithm, curve: undefined, pointForm: undefined, modulus: undefined, exponent: undefined };
  if (algorithm === oids.ecPublicKey)
    return { ...none, curve: oidOf(parameters, "The elliptic curve"), pointForm: bits[0] };
  if (algorithm !== oids.rsaEncryption) return none;
  const [modulus, exponent] = membersOf(readDer(bits), tags.sequence, "The RSA key");
  return {
    ...none,
    modulus: contentOf(modulus, tags.integer, "The RSA modulus"),
    exponent: contentOf(exponent, tags.integer, "The RSA exponent"),
  };
}

function writtenExtension(element: DerElement): Extension {
  const members = membersOf(element, tags.sequence, "An extension");
  if (members.length > 3) throw new DerError("An extension has more than three members");
  const critical = members.length === 3 && booleanOf(members[1], "The criticality of an extension");
  // X.690 §11.5: a default is not written.
  if (members.length === 3 && !critical) throw new DerError("An extension encodes the default criticality");
  return {
    oid: oidOf(members[0], "The identifier of an extension"),
    critical,
    value: contentOf(members.at(-1), tags.octetString, "The value of an extension"),
  };
}
