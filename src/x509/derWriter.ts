/**
 * DER, writing. A value is a tree whose sizes are known as it is built, so that `encodeDer` writes every byte once.
 */
import { tags } from "./der.ts";
import { encodeOid, oids } from "./oid.ts";
import { formatGeneralizedTime, formatTime } from "./time.ts";

/** Bytes that are already DER (or plain content), or a value still to be written. */
export type DerPart = DerValue | Uint8Array;

/** One TLV to be written. */
export interface DerValue {
  readonly tag: number;
  readonly contentSize: number;
  /** With identifier and length octets. */
  readonly size: number;
  readonly parts: readonly DerPart[];
}

/** A TLV with this identifier octet around `parts`. @throws {RangeError} when it grows to 16 MiB */
export function der(tag: number, ...parts: DerPart[]): DerValue {
  let contentSize = 0;
  for (const part of parts) contentSize += part instanceof Uint8Array ? part.length : part.size;
  return { tag, contentSize, size: 1 + lengthSize(contentSize) + contentSize, parts };
}

function lengthSize(length: number): number {
  if (length < 0x80) return 1;
  if (length < 0x100) return 2;
  if (length < 0x10000) return 3;
  if (length < 0x1000000) return 4;
  throw new RangeError("A DER element of 16 MiB or more is not written");
}

/** Writes the whole tree into one new buffer. */
export function encodeDer(value: DerValue): Buffer {
  const target = Buffer.allocUnsafe(value.size);
  write(value, target, 0);
  return target;
}

function write(value: DerValue, target: Buffer, start: number): number {
  target[start] = value.tag;
  let at = start + 1 + writeLength(value.contentSize, target, start + 1);
  for (const part of value.parts) {
    if (part instanceof Uint8Array) {
      target.set(part, at);
      at += part.length;
    } else {
      at = write(part, target, at);
    }
  }
  return at;
}

function writeLength(length: number, target: Buffer, at: number): number {
  const size = lengthSize(length);
  if (size === 1) {
    target[at] = length;
  } else {
    target[at] = 0x80 | (size - 1);
    target.writeUIntBE(length, at + 1, size - 1);
  }
  return size;
}

/** SEQUENCE. */
export const sequence = (...parts: DerPart[]): DerValue => der(tags.sequence, ...parts);

/** SET OF with one member: all that names need, and nothing to sort. */
export const setOfOne = (part: DerPart): DerValue => der(tags.set, part);

/** OCTET STRING around bytes or another value. */
export const octetString = (part: DerPart): DerValue => der(tags.octetString, part);

/** Constructed context-specific `[number]`, as EXPLICIT tags and IMPLICIT ones on sequences have it. */
export const constructed = (number: number, ...parts: DerPart[]): DerValue => der(0xa0 | number, ...parts);

/** Primitive context-specific `[number]`: an IMPLICIT tag on a string or integer. */
export const primitive = (number: number, content: Uint8Array): DerValue => der(0x80 | number, content);

/** INTEGER from 0 to 127. */
export function smallInteger(value: number): DerValue {
  if (!Number.isInteger(value) || value < 0 || value > 127) throw new RangeError("Not an integer from 0 to 127");
  return der(tags.integer, Uint8Array.of(value));
}

/** BIT STRING of whole octets. */
export const bitString = (octets: Uint8Array): DerValue => der(tags.bitString, noUnusedBits, octets);
const noUnusedBits = Uint8Array.of(0);

/** BOOLEAN TRUE. FALSE is a default wherever PKIX has a BOOLEAN, and defaults are not encoded in DER (X.690 §11.5). */
export const booleanTrue: DerValue = der(tags.boolean, Uint8Array.of(0xff));

/** UTF8String. */
export const utf8String = (text: string): DerValue => der(tags.utf8String, Buffer.from(text, "utf8"));

/** UTCTime or GeneralizedTime, as RFC 5280 §4.1.2.5 wants it. @throws {RangeError} as `formatTime` does */
export function time(date: Date): DerValue {
  const text = formatTime(date);
  return der(text.length === 13 ? tags.utcTime : tags.generalizedTime, Buffer.from(text, "latin1"));
}

/** GeneralizedTime of any year. @throws {RangeError} as `formatTime` does */
export const generalizedTime = (date: Date): DerValue =>
  der(tags.generalizedTime, Buffer.from(formatGeneralizedTime(date), "latin1"));

const knownOids = new Map<string, DerValue>(
  Object.values(oids).map((dotted) => [dotted, der(tags.oid, encodeOid(dotted))]),
);

/** OBJECT IDENTIFIER. @throws {RangeError} when `dotted` is not one */
export function objectIdentifier(dotted: string): DerValue {
  return knownOids.get(dotted) ?? der(tags.oid, encodeOid(dotted));
}
