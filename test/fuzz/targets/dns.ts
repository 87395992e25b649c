/** DNS messages as a resolver, or somebody who plays one, may send them. */
import {
  addressIn,
  answersOf,
  caaIn,
  DnsMessageError,
  encodeQuery,
  readReply,
  recordTypes,
  textIn,
  type RecordType,
} from "../../../src/outbound/dnsMessage.ts";
import { isIP } from "node:net";
import { readIssueValue } from "../../../src/acme/challenges/issueValue.ts";
import { bendBytes } from "../mutate.ts";
import type { Random } from "../random.ts";
import { holds, readOrRefuse, type Target } from "../target.ts";

const types = Object.keys(recordTypes) as RecordType[];

const uint16 = (value: number): Buffer => Buffer.from([(value >> 8) & 0xff, value & 0xff]);
const labels = (name: string): Buffer =>
  Buffer.concat([
    ...name.split(".").flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]),
    Buffer.alloc(1),
  ]);

/** The data of a record of this type; names in it may be pointers, also to nowhere. */
function dataOf(random: Random, type: RecordType): Buffer {
  switch (type) {
    case "A":
      return random.bytes(random.pick([4, 4, 4, 3, 5, 0]));
    case "AAAA":
      return random.bytes(random.pick([16, 16, 16, 15, 4]));
    case "TXT": {
      const pieces = Array.from({ length: random.below(4) }, () => random.bytes(random.below(30)));
      return Buffer.concat(pieces.flatMap((piece) => [Buffer.from([piece.length]), piece]));
    }
    case "CAA":
      return Buffer.concat([Buffer.from([random.pick([0, 0x80, 1]), 5]), Buffer.from("issueca.example; accounturi=x")]);
    default:
      return random.chance(0.5) ? pointer(random) : labels(random.pick(["b.example", "a.example", "x"]));
  }
}

const pointer = (random: Random): Buffer =>
  uint16(0xc000 | (random.chance(0.7) ? 12 + random.below(40) : random.below(0x3fff)));

/** A reply to a question for a.example, mostly a good one. */
function reply(random: Random): Buffer {
  const type = random.pick(types);
  const query = encodeQuery(random.below(0x10000), "a.example", type);
  query.writeUInt16BE(0x8180 | (random.chance(0.1) ? 0x0200 : 0) | (random.chance(0.1) ? random.below(6) : 0), 2);
  const count = random.below(6);
  query.writeUInt16BE(random.chance(0.9) ? count : random.below(0x10000), 6);
  const records = Array.from({ length: count }, () => {
    const answered = random.chance(0.8) ? type : random.pick(types);
    const data = dataOf(random, answered);
    const owner = random.chance(0.8) ? uint16(0xc00c) : random.chance(0.5) ? pointer(random) : labels("b.example");
    const length = random.chance(0.95) ? data.length : random.below(300);
    return Buffer.concat([owner, uint16(recordTypes[answered]), uint16(1), Buffer.alloc(4), uint16(length), data]);
  });
  return Buffer.concat([query, ...records]);
}

const dnsReply: Target = {
  name: "dns-reply",
  about: "replies of name servers, with compressed names and records of each type",
  cases: 15_000,
  slowMs: 200,
  make: (random) => (random.chance(0.5) ? reply(random) : bendBytes(random, reply(random))),
  check(input) {
    const read = readOrRefuse(() => readReply(input), DnsMessageError);
    if (read === undefined) return "refused";
    holds(read.records.length * 11 <= input.length, "more records than octets for them");
    for (const { owner, target } of read.records)
      for (const name of [owner, target ?? ""])
        holds(/^[a-z0-9_*.\\-]*$/.test(name) && name.length <= 1020, "a name with foreign characters");
    for (const type of types) {
      for (const record of readOrRefuse(() => answersOf(read, type), DnsMessageError) ?? []) {
        const readers: Partial<Record<RecordType, () => unknown>> = {
          A: () => holds(isIP(addressIn(record)) === 4, "no IPv4 address"),
          AAAA: () => holds(isIP(addressIn(record)) === 6, "no IPv6 address"),
          TXT: () => holds(Buffer.byteLength(textIn(record)) <= 3 * record.data.length, "more text than octets"),
          CAA: () => holds(/^[a-z0-9]+$/.test(caaIn(record).tag), "a tag of other characters"),
        };
        readOrRefuse(() => readers[type]?.(), DnsMessageError);
      }
    }
    return "accepted";
  },
};

const issueValue: Target = {
  name: "issue-value",
  about: "values of CAA properties and records of dns-persist-01",
  cases: 20_000,
  slowMs: 50,
  make(random) {
    const parts = [
      "ca.example",
      " ",
      ";",
      "a=1",
      "accounturi=https://ca.example/1",
      "policy=wildcard",
      "=",
      "-",
      ".",
      "\t",
    ];
    const text = Array.from({ length: random.below(9) }, () => random.pick(parts)).join("");
    return random.chance(0.6) ? Buffer.from(text) : bendBytes(random, Buffer.from(text));
  },
  check(input) {
    const read = readIssueValue(input.toString("latin1"));
    if (read === undefined) return "refused";
    holds(
      /^(?:[a-z0-9](?:-*[a-z0-9])*(?:\.[a-z0-9](?:-*[a-z0-9])*)*)?$/.test(read.issuer),
      "an issuer that is no name",
    );
    for (const { tag, value } of read.parameters)
      holds(/^[a-z0-9-]+$/.test(tag) && /^[\x21-\x3a\x3c-\x7e]*$/.test(value), "a parameter of foreign characters");
    // What was read, written again, is read as the same.
    const written = [read.issuer, ...read.parameters.map(({ tag, value }) => `${tag}=${value}`)].join("; ");
    holds(JSON.stringify(readIssueValue(written)) === JSON.stringify(read), "it does not read as it was written");
    return "accepted";
  },
};

export const dnsTargets: readonly Target[] = [dnsReply, issueValue];
