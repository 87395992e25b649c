/**
 * Certificate revocation lists of version 2 (RFC 5280 §5.1), read in one pass: a list may have millions of entries, and no object stands for any
 * of them. As strict as `der.ts` is, with lengths up to 4 GiB.
 */
import { contentOf, type DerElement, DerError, readDer, sequenceBytesOf, smallIntegerOf, tags, timeOf } from "./der.ts";
import { readExtensions, type Extension } from "./extensions.ts";
import { oids } from "./oid.ts";

/**
 * Is shown an entry: the content of its serial number's INTEGER in `octets`, seconds since 1970, and the reason where the entry has one
 * (RFC 5280 §5.3.1).
 */
export type VisitEntry = (octets: Buffer, start: number, end: number, revokedAt: number, reason?: number) => void;

/** What a TBSCertList says beside its entries. Its buffers are views of the input. */
export interface ScannedTbs {
  /** DER AlgorithmIdentifier. */
  readonly signatureIdentifier: Buffer;
  /** DER Name. */
  readonly issuer: Buffer;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  readonly entries: number;
  /** Those of the list itself. */
  readonly extensions: readonly Extension[];
}

/** A whole list. */
export interface ScannedList extends ScannedTbs {
  /** The signed bytes. */
  readonly tbs: Buffer;
  readonly signature: Buffer;
}

interface Span {
  readonly tag: number;
  readonly start: number;
  readonly contentStart: number;
  readonly end: number;
}

/** Reads exactly one DER CertificateList; its two signature algorithms are the same (§5.1.1.2). @throws {DerError} */
export function scanCertificateList(bytes: Buffer, visit: VisitEntry): ScannedList {
  const list = whole(bytes, "The revocation list");
  const tbs = spanAt(bytes, list.contentStart, list.end);
  const algorithm = spanAt(bytes, tbs.end, list.end);
  const signature = spanAt(bytes, algorithm.end, list.end);
  if (signature.end !== list.end) throw new DerError("The revocation list has more than three members");
  const scanned = scanTbsCertificateList(bytes.subarray(tbs.start, tbs.end), visit);
  if (!elementIn(bytes, algorithm).equals(scanned.signatureIdentifier))
    throw new DerError("The two signature algorithms of the revocation list differ");
  const bits = contentOf(readDer(elementIn(bytes, signature)), tags.bitString, "The signature");
  if (bits[0] !== 0) throw new DerError("The signature is not a whole number of octets");
  return { ...scanned, tbs: bytes.subarray(tbs.start, tbs.end), signature: bits.subarray(1) };
}

/** Reads exactly one DER TBSCertList of version 2 that says when the next one comes. @throws {DerError} */
export function scanTbsCertificateList(bytes: Buffer, visit: VisitEntry): ScannedTbs {
  const tbs = whole(bytes, "The list to be signed");
  let at = tbs.contentStart;
  const member = (): DerElement => {
    const span = spanAt(bytes, at, tbs.end);
    at = span.end;
    return readDer(elementIn(bytes, span));
  };
  if (smallIntegerOf(member(), "The version") !== 1) throw new DerError("The revocation list is not of version 2");
  const signatureIdentifier = sequenceBytesOf(member(), "The signature algorithm");
  const issuer = sequenceBytesOf(member(), "The issuer");
  const thisUpdate = timeOf(member(), "The thisUpdate");
  const nextUpdate = timeOf(member(), "The nextUpdate");
  let entries = 0;
  if (at < tbs.end && bytes[at] === tags.sequence) {
    const span = spanAt(bytes, at, tbs.end);
    entries = scanEntries(bytes, span, visit);
    at = span.end;
  }
  const extensions = at < tbs.end ? extensionsOf(member()) : [];
  if (at < tbs.end) throw new DerError("The revocation list has members that are not read");
  return { signatureIdentifier, issuer, thisUpdate, nextUpdate, entries, extensions };
}

function extensionsOf(element: DerElement): Extension[] {
  if (element.tag !== 0xa0) throw new DerError("The revocation list has members that are not read");
  if (element.children.length !== 1) throw new DerError("The extensions are not one list");
  return readExtensions(element.children[0]);
}

function scanEntries(bytes: Buffer, list: Span, visit: VisitEntry): number {
  const timeIn = timeReader(bytes);
  let count = 0;
  for (let at = list.contentStart; at < list.end; count += 1) {
    const entry = spanAt(bytes, at, list.end);
    if (entry.tag !== tags.sequence) throw new DerError("An entry is not a SEQUENCE");
    const serial = spanAt(bytes, entry.contentStart, entry.end);
    requireInteger(bytes, serial);
    const date = spanAt(bytes, serial.end, entry.end);
    const revokedAt = timeIn(date);
    const reason = date.end === entry.end ? undefined : reasonIn(bytes, date.end, entry.end);
    visit(bytes, serial.contentStart, serial.end, revokedAt, reason);
    at = entry.end;
  }
  return count;
}

function requireInteger(bytes: Buffer, { tag, contentStart, end }: Span): void {
  const [first = 0, second = 0] = [bytes[contentStart], bytes[contentStart + 1]];
  const padded = end - contentStart > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80));
  if (tag !== tags.integer || end === contentStart || padded)
    throw new DerError("The serial number of an entry is not an INTEGER in its shortest form");
}

/** Days that are known at a time. */
const daysMax = 1000;

/** Reads times of entries: seconds since 1970. The date of a day is looked at once. */
function timeReader(bytes: Buffer): (span: Span) => number {
  const midnights = new Map<number, number>();
  return (span) => {
    const { tag, contentStart, end } = span;
    const clock = end - 7; // HHMMSSZ
    const century = tag === tags.generalizedTime && end - contentStart === 15;
    if ((!century && (tag !== tags.utcTime || end - contentStart !== 13)) || bytes[end - 1] !== 0x5a)
      throw new DerError("The date of an entry is not a time");
    let day = century ? 1 : 0; // So that the year 0026 is not taken for 26.
    for (let at = contentStart; at < clock; at += 2) day = day * 101 + digits(at);
    let midnight = midnights.get(day);
    if (midnight === undefined) {
      const first = Buffer.concat([elementIn(bytes, { ...span, end: clock }), Buffer.from("000000Z")]);
      midnight = timeOf(readDer(first), "The date of an entry").getTime() / 1000;
      if (midnights.size === daysMax) midnights.clear();
      midnights.set(day, midnight);
    }
    const [hours, minutes, seconds] = [digits(clock), digits(clock + 2), digits(clock + 4)];
    if (hours > 23 || minutes > 59 || seconds > 59) throw new DerError("The date of an entry is not a time");
    return midnight + hours * 3600 + minutes * 60 + seconds;
  };

  /** Two decimal digits; 100 for what is none. */
  function digits(at: number): number {
    const [tens, ones] = [(bytes[at] ?? 0) - 0x30, (bytes[at + 1] ?? 0) - 0x30];
    return tens < 0 || tens > 9 || ones < 0 || ones > 9 ? 100 : tens * 10 + ones;
  }
}

/** The extensions of an entry that has a reason and nothing else, without the reason itself. */
const reasonHead = Buffer.from("300c300a0603551d1504030a01", "hex");

function reasonIn(bytes: Buffer, at: number, end: number): number | undefined {
  const plain = compareSpans(reasonHead, 0, reasonHead.length, bytes, at, end - 1) === 0;
  return plain ? listed(bytes[end - 1] ?? 0) : reasonAmong(bytes, spanAt(bytes, at, end), end);
}

/** What else an entry says may be read over, unless it is critical (RFC 5280 §5.3): then the entry is about something else. */
function reasonAmong(bytes: Buffer, span: Span, end: number): number | undefined {
  if (span.end !== end) throw new DerError("An entry has not two or three members");
  const extensions = readExtensions(readDer(elementIn(bytes, span)));
  if (extensions.some(({ critical }) => critical))
    throw new DerError("The revocation list has a critical extension that is not known here");
  const reason = extensions.find(({ oid }) => oid === oids.reasonCode);
  if (reason === undefined) return undefined;
  const content = contentOf(readDer(reason.value), tags.enumerated, "The reason of an entry");
  return listed(content.length === 1 ? content.readUInt8(0) : 0xff);
}

/** CRLReason (RFC 5280 §5.3.1): 0 to 10 without 7. */
function listed(reason: number): number {
  if (reason > 10 || reason === 7) throw new DerError("The reason of an entry is not one of RFC 5280");
  return reason;
}

/** Below, at or above 0, as the octets are in their order; of so few, a call out of JavaScript would cost more. */
export function compareSpans(a: Buffer, aStart: number, aEnd: number, b: Buffer, bStart: number, bEnd: number): number {
  const shared = Math.min(aEnd - aStart, bEnd - bStart);
  for (let index = 0; index < shared; index += 1) {
    const difference = (a[aStart + index] ?? 0) - (b[bStart + index] ?? 0);
    if (difference !== 0) return difference;
  }
  return aEnd - aStart - (bEnd - bStart);
}

const elementIn = (bytes: Buffer, { start, end }: Span): Buffer => bytes.subarray(start, end);

function whole(bytes: Buffer, what: string): Span {
  const span = spanAt(bytes, 0, bytes.length);
  if (span.tag !== tags.sequence) throw new DerError(`${what} is not a SEQUENCE`);
  if (span.end !== bytes.length) throw new DerError("Bytes follow the end of the structure");
  return span;
}

/** The element that begins here, by its header alone. */
function spanAt(bytes: Buffer, start: number, limit: number): Span {
  if (limit - start < 2) throw new DerError(`The element at byte ${start} is cut short`);
  const first = bytes.readUInt8(start + 1);
  const octets = first < 0x80 ? 0 : first & 0x7f;
  const contentStart = start + 2 + octets;
  if (first === 0x80 || octets > 4) throw new DerError(`The length at byte ${start + 1} is indefinite or too large`);
  if (contentStart > limit) throw new DerError(`The length at byte ${start + 1} is cut short`);
  const length = octets === 0 ? first : bytes.readUIntBE(start + 2, octets);
  if (octets > 0 && (length < 0x80 || length < 2 ** (8 * (octets - 1))))
    throw new DerError(`The length at byte ${start + 1} is not in its shortest form`);
  const end = contentStart + length;
  if (end > limit) throw new DerError(`The element at byte ${start} is longer than what holds it`);
  return { tag: bytes.readUInt8(start), start, contentStart, end };
}
