/**
 * Strict DER (X.690 §10 and §11) for the structures of PKIX, reading. Writing is in `derWriter.ts`.
 *
 * `readDer` checks the encoding of everything in its input, also of parts that nobody looks at later: definite lengths in their
 * shortest form, low tag numbers, canonical primitives, sorted sets, no trailing bytes, bounded depth. Elements are offsets into the input;
 * content is cut out only where asked for.
 */
import { isAscii, isUtf8 } from "node:buffer";
import { decodeOid, isOidContent } from "./oid.ts";
import { parseGeneralizedTime, parseUtcTime } from "./time.ts";

/** The bytes are not DER, or not the structure that was to be read. The message is a sentence without any of the bytes. */
export class DerError extends Error {
  override readonly name = "DerError";
}

/** Identifier octets of the universal types in use. */
export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const;

const tagNames = new Map<number, string>([
  [tags.boolean, "a BOOLEAN"],
  [tags.integer, "an INTEGER"],
  [tags.bitString, "a BIT STRING"],
  [tags.octetString, "an OCTET STRING"],
  [tags.oid, "an OBJECT IDENTIFIER"],
  [tags.sequence, "a SEQUENCE"],
  [tags.set, "a SET"],
]);

/** A certification request with every kind of SAN nests 10 deep. */
const depthLimit = 16;

/** One TLV of an input that was checked as a whole. */
export interface DerElement {
  readonly source: Buffer;
  /** The identifier octet: class, constructed bit and number. */
  readonly tag: number;
  readonly start: number;
  readonly contentStart: number;
  readonly end: number;
  /** Empty for primitive elements. */
  readonly children: readonly DerElement[];
}

/**
 * Reads exactly one element that fills `input`. The elements are views of `input`, which must not change while they are used.
 * @throws {DerError}
 */
export function readDer(input: Uint8Array): DerElement {
  const source = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  const element = readElement(source, 0, source.length, 1);
  if (element.end !== source.length) throw new DerError("Bytes follow the end of the structure");
  return element;
}

function readElement(source: Buffer, start: number, limit: number, depth: number): DerElement {
  if (depth > depthLimit) throw new DerError(`Elements are nested more than ${depthLimit} deep`);
  if (limit - start < 2) throw new DerError(`The element at byte ${start} is cut short`);
  const tag = source.readUInt8(start);
  if ((tag & 0x1f) === 0x1f) throw new DerError(`The element at byte ${start} has a tag number above 30`);

  const { length, contentStart } = readLength(source, start + 1, limit);
  const end = contentStart + length;
  if (end > limit) throw new DerError(`The element at byte ${start} is longer than what holds it`);

  const children: DerElement[] = [];
  if ((tag & 0x20) !== 0) {
    for (let next = contentStart; next < end;) {
      const child = readElement(source, next, end, depth + 1);
      children.push(child);
      next = child.end;
    }
  }
  const element = { source, tag, start, contentStart, end, children };
  if ((tag & 0xc0) === 0 && !isCanonical(element))
    throw new DerError(`The element at byte ${start} is not in DER form`);
  return element;
}

/** X.690 §10.1: definite form, in the fewest octets. Three length octets (16 MiB) are more than any caller lets in. */
function readLength(source: Buffer, at: number, limit: number): { length: number; contentStart: number } {
  const first = source.readUInt8(at);
  if (first < 0x80) return { length: first, contentStart: at + 1 };
  if (first === 0x80) throw new DerError(`The length at byte ${at} is indefinite`);
  const octets = first & 0x7f;
  if (octets > 3) throw new DerError(`The length at byte ${at} is too large`);
  if (limit - at - 1 < octets) throw new DerError(`The length at byte ${at} is cut short`);
  const length = source.readUIntBE(at + 1, octets);
  if (length < 0x80 || length < 1 << (8 * (octets - 1))) {
    throw new DerError(`The length at byte ${at} is not in its shortest form`);
  }
  return { length, contentStart: at + 1 + octets };
}

/** Form and value of a universal type (X.690 §8, §10.2 and §11); strings are checked for their characters only when read. */
function isCanonical(element: DerElement): boolean {
  const { source, contentStart: at, end } = element;
  const length = end - at;
  switch (element.tag) {
    case tags.sequence:
      return true;
    case tags.set:
      return isSorted(element.children);
    case tags.boolean:
      return length === 1 && (source[at] === 0x00 || source[at] === 0xff);
    case tags.integer:
    case tags.enumerated:
      return length > 0 && (length === 1 || isMinimalInteger(source.readUInt16BE(at)));
    case tags.bitString:
      return length > 0 && hasZeroPadding(source.readUInt8(at), source.readUInt8(end - 1));
    case tags.null:
      return length === 0;
    case tags.oid:
      return isOidContent(source.subarray(at, end));
    case tags.utcTime:
      return parseUtcTime(source.toString("latin1", at, end)) !== undefined;
    case tags.generalizedTime:
      return parseGeneralizedTime(source.toString("latin1", at, end)) !== undefined;
    default:
      // The other string types, all primitive; tag 0 is BER's end-of-contents, and the rest have no place in PKIX.
      return element.tag === tags.octetString || element.tag === tags.utf8String || isStringTag(element.tag);
  }
}

/** NumericString (18) to BMPString (30), without the two times. */
function isStringTag(tag: number): boolean {
  return tag >= 0x12 && tag <= 0x1e;
}

/** `head` is the first two octets: nine leading bits alike mean that the first octet could go (X.690 §8.3.2). */
function isMinimalInteger(head: number): boolean {
  return head >= 0x0080 && head < 0xff80;
}

/**
 * X.690 §11.2.1: at most seven unused bits, all zero, none in an empty string. There the last octet is the number itself, and of the numbers
 * only zero has none of its own low bits set.
 */
function hasZeroPadding(unusedBits: number, lastOctet: number): boolean {
  return unusedBits <= 7 && (lastOctet & ((1 << unusedBits) - 1)) === 0;
}

/** X.690 §11.6. All sets of PKIX are SET OF. */
function isSorted(elements: readonly DerElement[]): boolean {
  return elements.every((element, i) => {
    const before = elements[i - 1];
    return before === undefined || Buffer.compare(encodingOf(before), encodingOf(element)) <= 0;
  });
}

/**
 * Makes sure that `bytes` is one element with this tag, by its header alone: for parts that were read or written before.
 * @throws {DerError}
 */
export function requireOneElement(bytes: Buffer, tag: number, what: string): void {
  if (bytes.length < 2 || bytes[0] !== tag) throw new DerError(`${what} is not ${tagNames.get(tag) ?? "of its type"}`);
  const { length, contentStart } = readLength(bytes, 1, bytes.length);
  if (contentStart + length !== bytes.length) throw new DerError(`${what} has the wrong length`);
}

/** The element with its identifier and length octets; a view of the input. */
export function encodingOf(element: DerElement): Buffer {
  return element.source.subarray(element.start, element.end);
}

/**
 * Content octets of an element that must have this tag; a view of the input.
 * @param what what the element is to the reader, as the subject of the error's sentence: "The version"
 * @throws {DerError} when it is missing or something else
 */
export function contentOf(element: DerElement | undefined, tag: number, what: string): Buffer {
  const found = expectTag(element, tag, what);
  return found.source.subarray(found.contentStart, found.end);
}

/** The whole encoding of a SEQUENCE that is kept or compared as it is; a view of the input. @throws {DerError} */
export function sequenceBytesOf(element: DerElement | undefined, what: string): Buffer {
  return encodingOf(expectTag(element, tags.sequence, what));
}

/** Members of a constructed element that must have this tag. @throws {DerError} */
export function membersOf(element: DerElement | undefined, tag: number, what: string): readonly DerElement[] {
  return expectTag(element, tag, what).children;
}

function expectTag(element: DerElement | undefined, tag: number, what: string): DerElement {
  if (element === undefined) throw new DerError(`${what} is missing`);
  if (element.tag !== tag) throw new DerError(`${what} is not ${tagNames.get(tag) ?? "of its type"}`);
  return element;
}

/** An OBJECT IDENTIFIER in dotted form. @throws {DerError} */
export function oidOf(element: DerElement | undefined, what: string): string {
  return decodeOid(contentOf(element, tags.oid, what));
}

/** A BOOLEAN. @throws {DerError} */
export function booleanOf(element: DerElement | undefined, what: string): boolean {
  return contentOf(element, tags.boolean, what)[0] === 0xff;
}

/** An INTEGER from 0 to 2³¹ − 1. @throws {DerError} */
export function smallIntegerOf(element: DerElement | undefined, what: string): number {
  const content = contentOf(element, tags.integer, what);
  if (content.length > 4 || content.readInt8(0) < 0) throw new DerError(`${what} is out of range`);
  return content.readUIntBE(0, content.length);
}

/** A BIT STRING of whole octets. @throws {DerError} */
export function octetAlignedBitsOf(element: DerElement | undefined, what: string): Buffer {
  const content = contentOf(element, tags.bitString, what);
  if (content[0] !== 0) throw new DerError(`${what} is not a whole number of octets`);
  return content.subarray(1);
}

/** A UTCTime or GeneralizedTime, each only for its years (RFC 5280 §4.1.2.5) unless `anyYear` is true. @throws {DerError} */
export function timeOf(element: DerElement | undefined, what: string, anyYear = false): Date {
  if (element === undefined) throw new DerError(`${what} is missing`);
  const text = element.source.toString("latin1", element.contentStart, element.end);
  if (element.tag === tags.utcTime) return parseUtcTime(text) ?? notATime(what);
  if (element.tag !== tags.generalizedTime) throw new DerError(`${what} is not a time`);
  if (!anyYear && text < "2050") throw new DerError(`${what} is a GeneralizedTime before 2050`);
  return parseGeneralizedTime(text) ?? notATime(what);
}

function notATime(what: string): never {
  throw new DerError(`${what} is not a time`);
}

/** A UTF8String, PrintableString or IA5String, with every character checked. @throws {DerError} */
export function textOf(element: DerElement | undefined, what: string): string {
  if (element === undefined) throw new DerError(`${what} is missing`);
  const content = element.source.subarray(element.contentStart, element.end);
  switch (element.tag) {
    case tags.utf8String:
      if (!isUtf8(content)) throw new DerError(`${what} is not UTF-8`);
      return content.toString("utf8");
    case tags.printableString:
      if (!/^[A-Za-z0-9 '()+,\-./:=?]*$/.test(content.toString("latin1"))) {
        throw new DerError(`${what} has a character that a PrintableString must not have`);
      }
      return content.toString("latin1");
    case tags.ia5String:
      if (!isAscii(content)) throw new DerError(`${what} has a character outside of IA5`);
      return content.toString("latin1");
    default:
      throw new DerError(`${what} is not a UTF8String, PrintableString or IA5String`);
  }
}
