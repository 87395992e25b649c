/** TBSCertificates that say what no certificate should, written by nothing that would object. */
import {
  bitString,
  constructed,
  der,
  type DerPart,
  encodeDer,
  objectIdentifier,
  octetString,
  booleanTrue,
  sequence,
  smallInteger,
  time,
  utf8String,
} from "../../src/x509/derWriter.ts";
import type { Extension } from "../../src/x509/extensions.ts";
import { readTbs } from "../../src/x509/tbsReading.ts";

/** The parts of a TBSCertificate; DER but where it says content. */
export interface TbsParts {
  /** Undefined: left out. */
  readonly version: number | undefined;
  /** Content of the INTEGER. */
  readonly serialNumber: Buffer;
  readonly signature: Uint8Array;
  readonly issuer: Uint8Array;
  readonly notBefore: DerPart;
  readonly notAfter: DerPart;
  readonly subject: Uint8Array;
  readonly spki: Uint8Array;
  readonly uniqueIdentifiers: readonly DerPart[];
  readonly extensions: readonly Extension[];
}

export function partsOf(tbs: Buffer): TbsParts {
  const read = readTbs(tbs);
  return { ...read, notBefore: time(read.notBefore.date), notAfter: time(read.notAfter.date), uniqueIdentifiers: [] };
}

export function craftTbs(p: TbsParts): Buffer {
  const extensions = p.extensions.map(({ oid, critical, value }) =>
    sequence(objectIdentifier(oid), ...(critical ? [booleanTrue] : []), octetString(value)),
  );
  return encodeDer(
    sequence(
      ...(p.version === undefined ? [] : [constructed(0, smallInteger(p.version))]),
      der(0x02, p.serialNumber),
      p.signature,
      p.issuer,
      sequence(p.notBefore, p.notAfter),
      p.subject,
      p.spki,
      ...p.uniqueIdentifiers,
      ...(extensions.length > 0 ? [constructed(3, sequence(...extensions))] : []),
    ),
  );
}

/** GeneralizedTime for any year. */
export const generalized = (date: Date): DerPart =>
  der(0x18, Buffer.from(`${date.toISOString().slice(0, 19).replaceAll(/[-:T]/g, "")}Z`, "latin1"));

/** SubjectPublicKeyInfo of whatever key. */
export const spkiOf = (algorithm: DerPart, value: Uint8Array): Buffer =>
  encodeDer(sequence(algorithm, bitString(value)));

/** A Name with these attributes, each in an RDN of its own, as long as they like. */
export const nameOf = (...attributes: [oid: string, text: string][]): Buffer =>
  encodeDer(sequence(...attributes.map(([oid, text]) => der(0x31, sequence(objectIdentifier(oid), utf8String(text))))));
