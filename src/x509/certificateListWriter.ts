/**
 * Certificate revocation lists of version 2 (RFC 5280 §5.1), writing. A list may have millions of entries: they are written one behind the other
 * into flat memory as they come, and no object stands for any of them.
 */
import type { SignatureAlgorithm } from "../keys/signer.ts";
import { compareSpans } from "./certificateListScan.ts";
import { requireOneElement, tags } from "./der.ts";
import { bitString, constructed, encodeDer, sequence, smallInteger, time } from "./derWriter.ts";
import { authorityKeyIdentifier, encodeExtension } from "./extensions.ts";
import {
  certificateListNumber,
  issuingDistributionPoint,
  type IssuingDistributionPoint,
} from "./certificateListExtensions.ts";
import { algorithmIdentifier } from "./signatureAlgorithm.ts";
import { formatTime } from "./time.ts";

/** Octets that are allocated at a time. */
const slabSize = 1_048_576;
/** An entry with 20 octets of serial number, GeneralizedTime and reason has 57. */
const entryMax = 64;
const daySeconds = 86_400;
/** Days whose dates are kept: more than certificates live. */
const daysMax = 1000;

/** The extensions of an entry that has a reason and nothing else (RFC 5280 §5.3.1), up to the reason itself. */
const reasonHead = Buffer.from("300c300a0603551d1504030a01", "hex");

/** Reasons that are written (RFC 5280 §5.3.1): 0 says nothing, 7 is not used, 8 is for delta lists. */
const isListedReason = (reason: number): boolean =>
  Number.isInteger(reason) && reason >= 1 && reason <= 10 && reason !== 7 && reason !== 8;

/** The entries of one list, in the order of their serial numbers. */
export interface RevokedEntries {
  readonly count: number;
  /** Octets of all entries. */
  readonly size: number;
  /**
   * One more revoked certificate.
   * @param octets holds the content of the serial number's INTEGER from `start` to `end`: octet by octet behind the one before
   * @param revokedAt seconds since 1970
   * @param reason of CRLReason; 0 (unspecified) and undefined are the same, and not written
   * @throws {RangeError} for what no list may have, and for a serial number that is not behind the last one
   */
  add(octets: Buffer, start: number, end: number, revokedAt: number, reason: number | undefined): void;
  /** Writes all entries. */
  copyTo(target: Buffer, at: number): void;
}

/** No entries yet. */
export function createRevokedEntries(): RevokedEntries {
  const full: Buffer[] = []; // Slabs that are written, each cut to what is in it.
  let slab = Buffer.alloc(0);
  let used = 0;
  let fullSize = 0;
  let count = 0;
  /** Where the last serial number is, in the slab of the last entry. */
  let last = { octets: slab, start: 0, end: 0 };
  const days = new Map<number, Buffer>();

  /** Writes the time's TLV; the date of a day is formatted once. */
  function writeTime(at: number, seconds: number): number {
    const number = Math.floor(seconds / daySeconds);
    let day = days.get(number);
    if (day === undefined) {
      day = Buffer.from(formatTime(new Date(number * daySeconds * 1000)).slice(0, -7), "latin1");
      if (days.size === daysMax) days.clear();
      days.set(number, day);
    }
    const size = day.length + 7;
    slab[at] = size === 13 ? tags.utcTime : tags.generalizedTime;
    slab[at + 1] = size;
    const behind = copySpan(day, 0, day.length, slab, at + 2);
    const ofDay = seconds - number * daySeconds;
    writeDigits(behind, Math.floor(ofDay / 3600));
    writeDigits(behind + 2, Math.floor(ofDay / 60) % 60);
    writeDigits(behind + 4, ofDay % 60);
    slab[behind + 6] = 0x5a;
    return behind + 7;
  }

  function writeDigits(at: number, value: number): void {
    slab[at] = 0x30 + Math.floor(value / 10);
    slab[at + 1] = 0x30 + (value % 10);
  }

  return {
    get count() {
      return count;
    },
    get size() {
      return fullSize + used;
    },
    add(octets, start, end, revokedAt, reason) {
      requireSerialNumber(octets, start, end);
      if (count > 0 && compareSpans(octets, start, end, last.octets, last.start, last.end) <= 0)
        throw new RangeError("The serial numbers of a list are not in their order");
      if (!Number.isInteger(revokedAt)) throw new RangeError("The time of a revocation has whole seconds");
      if (reason !== undefined && reason !== 0 && !isListedReason(reason))
        throw new RangeError("The reason of a revocation is not one of RFC 5280");
      if (slab.length - used < entryMax) {
        if (used > 0) full.push(slab.subarray(0, used));
        fullSize += used;
        slab = Buffer.allocUnsafeSlow(slabSize);
        used = 0;
      }
      // Identifier and length of the entry come before it: their size is known, for no entry has 128 octets.
      const from = used;
      slab[from + 2] = tags.integer;
      slab[from + 3] = end - start;
      let at = copySpan(octets, start, end, slab, from + 4);
      last = { octets: slab, start: from + 4, end: at };
      at = writeTime(at, revokedAt);
      if (reason !== undefined && reason !== 0) {
        at = copySpan(reasonHead, 0, reasonHead.length, slab, at);
        slab[at++] = reason;
      }
      slab[from] = tags.sequence;
      slab[from + 1] = at - from - 2;
      used = at;
      count += 1;
    },
    copyTo(target, at) {
      let next = at;
      for (const each of [...full, slab.subarray(0, used)]) next += each.copy(target, next);
    },
  };
}

/** Octet by octet: of so few, a call out of JavaScript would cost more. Returns where it ended. */
function copySpan(octets: Buffer, start: number, end: number, target: Buffer, at: number): number {
  let next = at;
  for (let index = start; index < end; index += 1) target[next++] = octets[index] ?? 0;
  return next;
}

/** RFC 5280 §4.1.2.2: positive, in its shortest form, at most 20 octets. @throws {RangeError} */
function requireSerialNumber(octets: Buffer, start: number, end: number): void {
  const [first = 0x80, second = 0x80] = [octets[start], octets[start + 1]];
  const length = end - start;
  const positive = length >= 1 && length <= 20 && first < 0x80 && (first !== 0 || (length > 1 && second >= 0x80));
  if (!positive || end > octets.length)
    throw new RangeError("A serial number is a positive integer in its shortest form, of at most 20 octets");
}

/** What a TBSCertList says beside its entries. */
export interface TbsCertificateList {
  readonly signatureAlgorithm: SignatureAlgorithm;
  /** DER Name. */
  readonly issuer: Buffer;
  /** Whole seconds, as both. */
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  readonly authorityKeyIdentifier: Buffer;
  readonly number: number;
  readonly distributionPoint: IssuingDistributionPoint;
}

/**
 * DER TBSCertList (RFC 5280 §5.1.2) with exactly authorityKeyIdentifier, cRLNumber and issuingDistributionPoint. Without entries there is no
 * list of them (§5.1.2.6).
 * @throws {RangeError} for what no list may have
 */
export function encodeTbsCertificateList(list: TbsCertificateList, entries: RevokedEntries): Buffer {
  requireOneElement(list.issuer, tags.sequence, "The issuer");
  const extensions = [
    authorityKeyIdentifier(list.authorityKeyIdentifier),
    certificateListNumber(list.number),
    issuingDistributionPoint(list.distributionPoint),
  ];
  const before = [
    encodeDer(smallInteger(1)),
    algorithmIdentifier(list.signatureAlgorithm),
    list.issuer,
    encodeDer(time(list.thisUpdate)),
    encodeDer(time(list.nextUpdate)),
    ...(entries.count === 0 ? [] : [header(tags.sequence, entries.size)]),
  ];
  const behind = encodeDer(constructed(0, sequence(...extensions.map(encodeExtension))));
  const size = before.reduce((sum, { length }) => sum + length, 0) + entries.size + behind.length;
  const head = Buffer.concat([header(tags.sequence, size), ...before]);
  const tbs = Buffer.allocUnsafeSlow(head.length + entries.size + behind.length);
  head.copy(tbs, 0);
  entries.copyTo(tbs, head.length);
  behind.copy(tbs, head.length + entries.size);
  return tbs;
}

/** DER CertificateList around the octets that were signed (RFC 5280 §5.1.1). */
export function assembleCertificateList(tbs: Buffer, algorithm: SignatureAlgorithm, signature: Uint8Array): Buffer {
  const behind = [algorithmIdentifier(algorithm), encodeDer(bitString(signature))];
  const size = behind.reduce((sum, { length }) => sum + length, tbs.length);
  return Buffer.concat([header(tags.sequence, size), tbs, ...behind]);
}

/** Identifier and length octets; up to 4 GiB, other than the tree writer's. */
function header(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.of(tag, length);
  const octets = length < 0x100 ? 1 : length < 0x10000 ? 2 : length < 0x1000000 ? 3 : 4;
  if (length > 0xffffffff) throw new RangeError("A list of 4 GiB or more is not written");
  const written = Buffer.of(tag, 0x80 | octets, 0, 0, 0, 0).subarray(0, 2 + octets);
  written.writeUIntBE(length, 2, octets);
  return written;
}
