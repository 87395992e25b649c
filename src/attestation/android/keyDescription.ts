/**
 * The key attestation extension of Android (KeyDescription, 1.3.6.1.4.1.11129.2.1.17; source.android.com, "Key and ID attestation"). Pure.
 *
 * Its authorization lists have tags of several octets, which `readDer` refuses: their headers are read here, and what is in them by `readDer`.
 */
import {
  booleanOf,
  contentOf,
  type DerElement,
  DerError,
  membersOf,
  readDer,
  smallIntegerOf,
  tags,
} from "../../x509/der.ts";

/** What holds of a key by software or by hardware, each for itself: an explicit tag's content by its number. */
export type AuthorizationList = ReadonlyMap<number, Buffer>;

export interface KeyDescription {
  readonly attestationVersion: number;
  /** 0 software, 1 trusted environment, 2 StrongBox. */
  readonly attestationSecurityLevel: number;
  readonly keyMintSecurityLevel: number;
  readonly attestationChallenge: Buffer;
  readonly softwareEnforced: AuthorizationList;
  readonly hardwareEnforced: AuthorizationList;
}

/** Bytes of the extension's value; more than all that there is in it. */
const bytesMax = 8192;
const entriesMax = 100;
const sequenceHeader = 0x30;

/** @throws {DerError} */
export function readKeyDescription(value: Buffer): KeyDescription {
  if (value.length > bytesMax) throw new DerError(`The key description has more than ${bytesMax} bytes`);
  const members = elementsOf(value, sequenceHeader, "The key description");
  if (members.length !== 8) throw new DerError("The key description has not eight members");
  const [version, level, , keyMintLevel, challenge, , software, hardware] = members;
  return {
    attestationVersion: smallIntegerOf(readDer(encoded(version)), "The version"),
    attestationSecurityLevel: enumerated(readDer(encoded(level)), "The security level"),
    keyMintSecurityLevel: enumerated(readDer(encoded(keyMintLevel)), "The security level"),
    attestationChallenge: contentOf(readDer(encoded(challenge)), tags.octetString, "The challenge"),
    softwareEnforced: authorizationList(encoded(software)),
    hardwareEnforced: authorizationList(encoded(hardware)),
  };
}

/** ENUMERATED from 0 to 127. @throws {DerError} */
export function enumerated(element: DerElement | undefined, what: string): number {
  const content = contentOf(element, tags.enumerated, what);
  if (content.length !== 1 || content.readInt8(0) < 0) throw new DerError(`${what} is out of range`);
  return content.readUInt8(0);
}

function authorizationList(bytes: Buffer): AuthorizationList {
  const list = new Map<number, Buffer>();
  for (const { tag, content } of elementsOf(bytes, sequenceHeader, "An authorization list")) {
    if (tag === undefined) throw new DerError("An authorization list has a member without a tag of its own");
    if (list.has(tag)) throw new DerError("An authorization list has a tag twice");
    list.set(tag, content);
  }
  return list;
}

/** What is in an explicit tag of a list; undefined where it is not there. @throws {DerError} */
export function authorization(list: AuthorizationList, tag: number): DerElement | undefined {
  const content = list.get(tag);
  return content && readDer(content);
}

/** RootOfTrust: what was booted, and whether the boot loader is locked. */
export interface RootOfTrust {
  readonly verifiedBootKey: Buffer;
  readonly deviceLocked: boolean;
  /** 0 verified, 1 self-signed, 2 unverified, 3 failed. */
  readonly verifiedBootState: number;
}

/** @throws {DerError} */
export function readRootOfTrust(element: DerElement): RootOfTrust {
  const [key, locked, state] = membersOf(element, tags.sequence, "The root of trust");
  return {
    verifiedBootKey: contentOf(key, tags.octetString, "The boot key"),
    deviceLocked: booleanOf(locked, "The lock of the boot loader"),
    verifiedBootState: enumerated(state, "The boot state"),
  };
}

interface Element {
  /** Of a constructed context-specific tag its number. */
  readonly tag: number | undefined;
  readonly content: Buffer;
  readonly encoding: Buffer;
}

const encoded = (element: Element | undefined): Buffer => {
  if (element === undefined) throw new DerError("A member of the key description is missing");
  return element.encoding;
};

/** The members of the one element with this header that fills `bytes`. */
function elementsOf(bytes: Buffer, header: number, what: string): Element[] {
  if (bytes[0] !== header) throw new DerError(`${what} is not a SEQUENCE`);
  const outer = readElement(bytes, 0);
  if (outer.end !== bytes.length) throw new DerError(`Bytes follow the end of ${what.toLowerCase()}`);
  const members: Element[] = [];
  for (let at = outer.contentStart; at < outer.end;) {
    const { tag, contentStart, end } = readElement(bytes.subarray(0, outer.end), at);
    members.push({ tag, content: bytes.subarray(contentStart, end), encoding: bytes.subarray(at, end) });
    if (members.length > entriesMax) throw new DerError(`${what} has more than ${entriesMax} members`);
    at = end;
  }
  return members;
}

/** X.690 §8.1.2 and §10.1: tag numbers above 30 in the fewest octets of 7 bits, lengths in the shortest form. */
function readElement(bytes: Buffer, start: number): { tag: number | undefined; contentStart: number; end: number } {
  const octet = (at: number): number => {
    const value = bytes[at];
    if (value === undefined) throw new DerError(`The element at byte ${start} is cut short`);
    return value;
  };
  const first = octet(start);
  let at = start + 1;
  let number = first & 0x1f;
  if (number === 0x1f) {
    number = 0;
    do {
      number = (number << 7) | (octet(at) & 0x7f);
    } while (octet(at++) >= 0x80 && at < start + 4);
    if (number < 0x1f || octet(start + 1) === 0x80 || octet(at - 1) >= 0x80)
      throw new DerError(`The tag at byte ${start} is not in its shortest form, or too large`);
  }
  let length = octet(at++);
  if (length >= 0x80) {
    const octets = length & 0x7f;
    if (octets < 1 || octets > 2) throw new DerError(`The length at byte ${at - 1} is indefinite or too large`);
    length = octets === 1 ? octet(at) : (octet(at) << 8) | octet(at + 1);
    if (length < 0x80 || (octets === 2 && length < 0x100))
      throw new DerError(`The length at byte ${at - 1} is not in its shortest form`);
    at += octets;
  }
  if (at + length > bytes.length) throw new DerError(`The element at byte ${start} is longer than what holds it`);
  return { tag: (first & 0xe0) === 0xa0 ? number : undefined, contentStart: at, end: at + length };
}
