/**
 * DNS messages (RFC 1035 §4), as much of them as a stub resolver needs: a query of one question, and the answer section of a reply.
 * Strict: what is not as the RFC has it is refused, never guessed at. Pure.
 */
import { isIPv6 } from "node:net";

/** The types that are asked for, with CNAME, which comes along (RFC 1035 §3.2.2, RFC 3596 §2.1, RFC 8659 §4.1). */
export const recordTypes = { A: 1, NS: 2, CNAME: 5, TXT: 16, AAAA: 28, CAA: 257 } as const;
export type RecordType = keyof typeof recordTypes;

/** RFC 1035 §4.1.1. */
export const responseCodes = { noError: 0, formatError: 1, serverFailure: 2, nameError: 3, refused: 5 } as const;

export interface DnsRecord {
  /** As text, lower-case, without the final dot; octets that no host name has are written `\ddd`. */
  readonly owner: string;
  readonly type: number;
  readonly data: Buffer;
  /** Of a CNAME: the name in its data, which may be compressed. */
  readonly target?: string;
}

export interface DnsReply {
  readonly id: number;
  readonly question: { readonly name: string; readonly type: number };
  readonly responseCode: number;
  readonly truncated: boolean;
  /** The answer section, class IN. */
  readonly records: readonly DnsRecord[];
}

/** RFC 8659 §4.1. */
export interface CaaRecord {
  readonly critical: boolean;
  /** Lower-case: matching is not case-sensitive. */
  readonly tag: string;
  /** An octet for each character. */
  readonly value: string;
}

export class DnsMessageError extends Error {
  override readonly name = "DnsMessageError";
}

const headerOctets = 12;
const nameOctetsMax = 255;
const labelOctetsMax = 63;
const aliasesMax = 16;
/** As many labels as a name can have; a name that was compressed in earnest has one for each at most. */
const pointersMax = 127;
/** Labels and pointers that are followed in one message: five thousand records of ten labels each. */
const stepsMax = 50_000;
const classIn = 1;
const flags = { reply: 0x8000, opcode: 0x7800, truncated: 0x0200, recursionDesired: 0x0100, responseCode: 0x000f };

/** A recursive query. @param name labels of at most 63 octets, ASCII; "" is the root */
export function encodeQuery(id: number, name: string, type: RecordType): Buffer {
  const labels = name === "" ? [] : name.split(".").map((label) => Buffer.from(label, "latin1"));
  const octets = labels.flatMap((label) => [Buffer.from([label.length]), label]);
  const message = Buffer.alloc(headerOctets);
  message.writeUInt16BE(id, 0);
  message.writeUInt16BE(flags.recursionDesired, 2);
  message.writeUInt16BE(1, 4);
  const end = Buffer.alloc(5);
  end.writeUInt16BE(recordTypes[type], 1);
  end.writeUInt16BE(classIn, 3);
  return Buffer.concat([message, ...octets, end]);
}

/** Reads a reply as far as its answer section; what follows is not looked at. @throws {DnsMessageError} */
export function readReply(message: Buffer): DnsReply {
  if (message.length < headerOctets) throw new DnsMessageError("the message ends in its header");
  const word = message.readUInt16BE(2);
  if ((word & flags.reply) === 0) throw new DnsMessageError("the message is a query");
  if ((word & flags.opcode) !== 0) throw new DnsMessageError("the message is no standard query's");
  if (message.readUInt16BE(4) !== 1) throw new DnsMessageError("the message does not have one question");
  const steps: Steps = { left: stepsMax };
  const asked = readName(message, headerOctets, steps);
  need(message, asked.end, 4);
  if (message.readUInt16BE(asked.end + 2) !== classIn) throw new DnsMessageError("the question is not of class IN");
  const head = {
    id: message.readUInt16BE(0),
    question: { name: asked.name, type: message.readUInt16BE(asked.end) },
    responseCode: word & flags.responseCode,
    truncated: (word & flags.truncated) !== 0,
  };
  // Of a truncated message nothing counts (RFC 2181 §9), and it may end in the middle of a record.
  const count = message.readUInt16BE(6);
  return { ...head, records: head.truncated ? [] : readRecords(message, asked.end + 4, count, steps) };
}

function readRecords(message: Buffer, start: number, count: number, steps: Steps): DnsRecord[] {
  const records: DnsRecord[] = [];
  let at = start;
  for (let index = 0; index < count; index += 1) {
    const { name: owner, end } = readName(message, at, steps);
    need(message, end, 10);
    const type = message.readUInt16BE(end);
    const data = end + 10;
    at = data + message.readUInt16BE(end + 8);
    need(message, data, at - data);
    if (message.readUInt16BE(end + 2) !== classIn) continue;
    const record = { owner, type, data: message.subarray(data, at) };
    if (type !== recordTypes.CNAME) records.push(record);
    else {
      const target = readName(message, data, steps);
      if (target.end !== at) throw new DnsMessageError("a CNAME is not one name");
      records.push({ ...record, target: target.name });
    }
  }
  return records;
}

function need(message: Buffer, at: number, octets: number): void {
  if (at + octets > message.length) throw new DnsMessageError("the message ends too early");
}

/** What may still be followed in a message. */
interface Steps {
  left: number;
}

/** RFC 1035 §4.1.4. A pointer goes to what stands before the name, and each further one before that: so there is an end, and a near one. */
function readName(message: Buffer, start: number, steps: Steps): { name: string; end: number } {
  const labels: string[] = [];
  let octets = 1;
  let at = start;
  let before = start;
  let pointers = 0;
  let end: number | undefined;
  for (;;) {
    need(message, at, 1);
    steps.left -= 1;
    if (steps.left < 0) throw new DnsMessageError("the message has too many names");
    const length = message.readUInt8(at);
    if (length === 0) return { name: labels.join("."), end: end ?? at + 1 };
    if (length >= 0xc0) {
      need(message, at, 2);
      const target = message.readUInt16BE(at) & 0x3fff;
      if (target >= before || target < headerOctets) throw new DnsMessageError("a name points forward");
      pointers += 1;
      if (pointers > pointersMax) throw new DnsMessageError("a name has too many pointers");
      end ??= at + 2;
      before = target;
      at = target;
      continue;
    }
    if (length > labelOctetsMax) throw new DnsMessageError("a label of an unknown kind");
    need(message, at + 1, length);
    octets += length + 1;
    if (octets > nameOctetsMax) throw new DnsMessageError("a name is too long");
    labels.push(labelText(message.subarray(at + 1, at + 1 + length)));
    at += 1 + length;
  }
}

function labelText(label: Buffer): string {
  const escaped = (character: string): string => `\\${String(character.charCodeAt(0)).padStart(3, "0")}`;
  return label
    .toString("latin1")
    .toLowerCase()
    .replace(/[^a-z0-9_*-]/g, escaped);
}

/**
 * The records of a type for the name that was asked for, CNAMEs followed as far as the reply has them (RFC 1034 §4.3.2).
 * @throws {DnsMessageError} when they lead in a circle, or too far
 */
export function answersOf({ records, question: { name } }: DnsReply, type: RecordType): DnsRecord[] {
  const visited = new Set<string>();
  let owner = name;
  for (;;) {
    visited.add(owner);
    const alias = records.find((record) => record.owner === owner && record.target !== undefined)?.target;
    if (alias === undefined)
      return records.filter((record) => record.owner === owner && record.type === recordTypes[type]);
    if (visited.has(alias)) throw new DnsMessageError("CNAMEs lead in a circle");
    if (visited.size > aliasesMax) throw new DnsMessageError(`more than ${aliasesMax} CNAMEs`);
    owner = alias;
  }
}

/** The address in an A or AAAA record, IPv6 as RFC 5952 has it. @throws {DnsMessageError} */
export function addressIn({ data, type }: DnsRecord): string {
  if (type === recordTypes.A && data.length === 4) return [...data].join(".");
  if (type !== recordTypes.AAAA || data.length !== 16) throw new DnsMessageError("an address has a wrong length");
  const groups = data.toString("hex").match(/.{4}/g) ?? [];
  const short = new URL(`http://[${groups.join(":")}]`).hostname.slice(1, -1);
  return isIPv6(short) ? short : groups.join(":");
}

/** The strings of a TXT record (RFC 1035 §3.3.14), joined. @throws {DnsMessageError} */
export function textIn({ data }: DnsRecord): string {
  const pieces: string[] = [];
  for (let at = 0; at < data.length;) {
    const end = at + 1 + data.readUInt8(at);
    if (end > data.length) throw new DnsMessageError("a TXT record ends too early");
    pieces.push(data.toString("utf8", at + 1, end));
    at = end;
  }
  return pieces.join("");
}

/** RFC 8659 §4.1. @throws {DnsMessageError} */
export function caaIn({ data }: DnsRecord): CaaRecord {
  const tagOctets = data[1] ?? 0;
  const tag = data.toString("latin1", 2, 2 + tagOctets);
  if (data.length < 2 + tagOctets || !/^[a-z0-9]+$/i.test(tag)) throw new DnsMessageError("a CAA record is malformed");
  const critical = (data.readUInt8(0) & 0x80) !== 0;
  return { critical, tag: tag.toLowerCase(), value: data.toString("latin1", 2 + tagOctets) };
}
