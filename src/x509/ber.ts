/**
 * BER (X.690 §8) into DER, as far as signers of documents need it: indefinite and needlessly long lengths, OCTET STRINGs in pieces, sets in any
 * order. Everything else about the encoding is left to `readDer`, which reads what comes out.
 *
 * One element that is DER already comes out as it went in, so that what was signed inside (a certificate) still verifies.
 */
import { DerError, tags } from "./der.ts";

/** As deep as `readDer` goes, and the pieces of an OCTET STRING below it. */
const depthLimit = 18;
/** Documents with certificates of their signers have some hundreds; sets of thousands would take long to sort. */
const elementsLimit = 4096;
const constructedOctetString = 0x24;
const endOfContents = 0x00;

interface Source {
  readonly octets: Buffer;
  /** Elements that have begun. */
  elements: number;
}

interface Transcoded {
  readonly encoding: Buffer;
  readonly end: number;
}

/**
 * The DER form of the one element that fills `input`.
 * @param bytesMax the largest input that is looked at
 * @throws {DerError}
 */
export function berToDer(input: Uint8Array, bytesMax: number): Buffer {
  if (input.length > bytesMax) throw new DerError(`The structure is larger than ${bytesMax} bytes`);
  const octets = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  const { encoding, end } = transcode({ octets, elements: 0 }, 0, octets.length, 1);
  if (end !== octets.length) throw new DerError("Bytes follow the end of the structure");
  return encoding;
}

function transcode(source: Source, start: number, limit: number, depth: number): Transcoded {
  const { octets } = source;
  if (++source.elements > elementsLimit) throw new DerError(`The structure has more than ${elementsLimit} elements`);
  if (depth > depthLimit) throw new DerError(`Elements are nested more than ${depthLimit} deep`);
  if (limit - start < 2) throw new DerError(`The element at byte ${start} is cut short`);
  const tag = octets.readUInt8(start);
  if ((tag & 0x1f) === 0x1f) throw new DerError(`The element at byte ${start} has a tag number above 30`);
  // End-of-contents ends an indefinite length and is nothing by itself.
  if (tag === endOfContents) throw new DerError(`The end-of-contents at byte ${start} ends nothing`);
  const isConstructed = (tag & 0x20) !== 0;
  const { length, contentStart } = readLength(octets, start + 1, limit);
  if (length === undefined) {
    if (!isConstructed) throw new DerError(`The primitive element at byte ${start} has an indefinite length`);
    const { children, end } = childrenUntilEnd(source, contentStart, limit, depth);
    return { encoding: assemble(tag, children), end: end + 2 };
  }
  const end = contentStart + length;
  if (end > limit) throw new DerError(`The element at byte ${start} is longer than what holds it`);
  if (!isConstructed) return { encoding: encode(tag, octets.subarray(contentStart, end)), end };
  const children: Buffer[] = [];
  for (let next = contentStart; next < end;) {
    const child = transcode(source, next, end, depth + 1);
    children.push(child.encoding);
    next = child.end;
  }
  return { encoding: assemble(tag, children), end };
}

/** X.690 §8.1.5: members until two zero octets; `end` is where those stand. */
function childrenUntilEnd(
  source: Source,
  contentStart: number,
  limit: number,
  depth: number,
): { children: Buffer[]; end: number } {
  const children: Buffer[] = [];
  let next = contentStart;
  for (;;) {
    if (limit - next < 2) throw new DerError(`The indefinite length before byte ${contentStart} does not end`);
    if (source.octets.readUInt16BE(next) === 0) return { children, end: next };
    const child = transcode(source, next, limit, depth + 1);
    children.push(child.encoding);
    next = child.end;
  }
}

/** Undefined is the indefinite form. */
function readLength(source: Buffer, at: number, limit: number): { length: number | undefined; contentStart: number } {
  const first = source.readUInt8(at);
  if (first < 0x80) return { length: first, contentStart: at + 1 };
  if (first === 0x80) return { length: undefined, contentStart: at + 1 };
  const octets = first & 0x7f;
  // Four are what streaming writers reserve.
  if (octets > 4) throw new DerError(`The length at byte ${at} is too large`);
  if (limit - at - 1 < octets) throw new DerError(`The length at byte ${at} is cut short`);
  return { length: source.readUIntBE(at + 1, octets), contentStart: at + 1 + octets };
}

function assemble(tag: number, children: readonly Buffer[]): Buffer {
  if (tag === constructedOctetString) return encode(tags.octetString, Buffer.concat(children.map(pieceOf)));
  // X.690 §11.6: DER has the members of a SET OF in the order of their octets.
  const members = tag === tags.set ? children.toSorted((a, b) => a.compare(b)) : children;
  return encode(tag, Buffer.concat(members));
}

/** X.690 §8.7.3.2: the pieces of an OCTET STRING are OCTET STRINGs, here all of them already primitive. */
function pieceOf(encoding: Buffer): Buffer {
  if (encoding[0] !== tags.octetString) throw new DerError("A piece of an OCTET STRING is something else");
  return encoding.subarray(headerSize(encoding));
}

function headerSize(encoding: Buffer): number {
  const first = encoding.readUInt8(1);
  return first < 0x80 ? 2 : 2 + (first & 0x7f);
}

function encode(tag: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([tag, ...lengthOctets(content.length)]), content]);
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length];
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) octets.unshift(rest & 0xff);
  return [0x80 | octets.length, ...octets];
}
