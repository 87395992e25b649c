import t from "tap";
import {
  addressIn,
  answersOf,
  caaIn,
  DnsMessageError,
  type DnsReply,
  encodeQuery,
  readReply,
  recordTypes,
  textIn,
} from "../../src/outbound/dnsMessage.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");
/** Header: id abcd, reply, one question; `a.example A IN`. */
const head = (answers: string, word = "8180") =>
  `abcd ${word} 0001 ${answers} 0000 0000  01 61 07 6578616d706c65 00 0001 0001`;

t.test("a query: RFC 1035 §4.1, recursion desired", (t) => {
  t.same(
    encodeQuery(0xabcd, "a.example", "A"),
    hex("abcd 0100 0001 0000 0000 0000 01 61 07 6578616d706c65 00 0001 0001"),
  );
  t.same(encodeQuery(1, "", "NS"), hex("0001 0100 0001 0000 0000 0000 00 0002 0001"), "the root");
  t.end();
});

t.test("a reply with a compressed name and two records", (t) => {
  const records = "c00c 0001 0001 0000003c 0004 c0000201  c00c 0001 0001 0000003c 0004 c0000202";
  const reply = readReply(hex(`${head("0002")} ${records}`));
  t.match(reply, {
    id: 0xabcd,
    question: { name: "a.example", type: 1 },
    responseCode: 0,
    truncated: false,
    records: [
      { owner: "a.example", type: 1 },
      { owner: "a.example", type: 1 },
    ],
  });
  t.same(answersOf(reply, "A").map(addressIn), ["192.0.2.1", "192.0.2.2"]);
  t.same(answersOf(reply, "TXT"), []);
  t.end();
});

t.test("CNAMEs are followed, and only what they lead to counts", (t) => {
  // a.example CNAME b.example, b.example A 192.0.2.1, c.example A 192.0.2.9 (nobody's).
  const alias = "c00c 0005 0001 0000003c 0004 01 62 c00e";
  const address = "01 62 c00e 0001 0001 0000003c 0004 c0000201";
  const stray = "01 63 c00e 0001 0001 0000003c 0004 c0000209";
  const reply = readReply(hex(`${head("0003")} ${alias} ${stray} ${address}`));
  t.same(answersOf(reply, "A").map(addressIn), ["192.0.2.1"]);
  const circle = readReply(hex(`${head("0002")} ${alias} 01 62 c00e 0005 0001 0000003c 0002 c00c`));
  t.throws(() => answersOf(circle, "A"), DnsMessageError);
  t.end();
});

t.test("records of another class and unknown types are passed over", (t) => {
  const chaos = "c00c 0001 0003 0000003c 0004 c0000201";
  const unknown = "c00c ff00 0001 0000003c 0003 010203";
  const reply = readReply(hex(`${head("0002")} ${chaos} ${unknown}`));
  t.same(answersOf(reply, "A"), []);
  t.equal(reply.records.length, 1);
  t.end();
});

t.test("the response code, and nothing of a truncated message", (t) => {
  t.equal(readReply(hex(head("0000", "8183"))).responseCode, 3);
  const cut = readReply(hex(`${head("0002", "8380")} c00c 0001`));
  t.match(cut, { truncated: true, records: [] });
  t.end();
});

t.test("what is not as the RFC has it is refused", (t) => {
  const name = "01 61 07 6578616d706c65 00";
  const cases: Record<string, string> = {
    empty: "",
    "half a header": "abcd 8180 0001",
    "a query": head("0000", "0180"),
    "another opcode": head("0000", "a980"),
    "no question": "abcd 8180 0000 0000 0000 0000",
    "two questions": `abcd 8180 0002 0000 0000 0000 ${name} 0001 0001 ${name} 0001 0001`,
    "a question of class CHAOS": `abcd 8180 0001 0000 0000 0000 ${name} 0001 0003`,
    "a record too few": head("0001"),
    "data that is longer than the message": `${head("0001")} c00c 0001 0001 0000003c 0005 c0000201`,
    "a pointer to itself": `${head("0001")} c01b 0001 0001 0000003c 0004 c0000201`,
    "a pointer forward": `${head("0001")} c030 0001 0001 0000003c 0004 c0000201`,
    "a pointer into the header": `${head("0001")} c004 0001 0001 0000003c 0004 c0000201`,
    "half a pointer": `${head("0001")} c0`,
    "a label of 64": `abcd 8180 0001 0000 0000 0000 40 ${"61".repeat(64)} 00 0001 0001`,
    "a name of 256 octets": `abcd 8180 0001 0000 0000 0000 ${`3f${"61".repeat(63)}`.repeat(4)} 00 0001 0001`,
    "a CNAME with something behind it": `${head("0001")} c00c 0005 0001 0000003c 0003 c00c00`,
  };
  for (const [what, text] of Object.entries(cases)) t.throws(() => readReply(hex(text)), DnsMessageError, what);
  t.end();
});

t.test("H-15c names with octets that no host has are escaped, not taken for others", (t) => {
  const reply = readReply(hex("abcd 8180 0001 0000 0000 0000 04 612e6200 07 4578414d504c65 00 0001 0001"));
  t.equal(reply.question.name, "a\\046b\\000.example");
  t.end();
});

const record = (type: keyof typeof recordTypes, data: string) => ({
  owner: "a.example",
  type: recordTypes[type],
  data: hex(data),
});

t.test("addresses", (t) => {
  t.equal(addressIn(record("AAAA", "20010db8 00000000 00000000 00000001")), "2001:db8::1");
  t.equal(addressIn(record("AAAA", "00000000 00000000 0000ffff 7f000001")), "::ffff:7f00:1");
  t.equal(addressIn(record("AAAA", "00".repeat(16))), "::");
  for (const wrong of [
    record("A", "c00002"),
    record("A", "c000020101"),
    record("AAAA", "20010db8"),
    record("TXT", "00000000"),
  ])
    t.throws(() => addressIn(wrong), DnsMessageError);
  t.end();
});

t.test("H-15c TXT strings are joined", (t) => {
  t.equal(textIn(record("TXT", "02 6162 00 01 63")), "abc");
  t.equal(textIn(record("TXT", "")), "");
  t.throws(() => textIn(record("TXT", "02 61")), DnsMessageError);
  t.end();
});

t.test("R8659-3 CAA: flag, tag, value", (t) => {
  t.same(caaIn(record("CAA", "00 05 6973737565 63612e")), { critical: false, tag: "issue", value: "ca." });
  t.same(caaIn(record("CAA", "80 05 4973537545")), { critical: true, tag: "issue", value: "" }, "no value, upper case");
  t.same(caaIn(record("CAA", "7f 08 637269746963616c 31")), { critical: false, tag: "critical", value: "1" });
  t.same(caaIn(record("CAA", "81 01 78 ff")), { critical: true, tag: "x", value: "\xff" });
  for (const wrong of ["", "00", "00 00", "00 05 697373", "00 02 2d2d", "00 01 00"])
    t.throws(() => caaIn(record("CAA", wrong)), DnsMessageError, wrong);
  t.end();
});

/** Numbers that are the same in every run. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % below;
  };
}

/** Reads all there is in a message; whatever is wrong must be said in one way. */
function readAll(message: Buffer): "read" | "refused" {
  try {
    const reply: DnsReply = readReply(message);
    answersOf(reply, "A").map(addressIn);
    answersOf(reply, "AAAA").map(addressIn);
    answersOf(reply, "TXT").map(textIn);
    answersOf(reply, "CAA").map(caaIn);
    return "read";
  } catch (error) {
    if (error instanceof DnsMessageError) return "refused";
    throw error;
  }
}

t.test("fuzz: mutations of good messages and random octets end, and fail in one way only", (t) => {
  const draw = seeded(8659);
  const good = [
    `${head("0002")} c00c 0001 0001 0000003c 0004 c0000201 c00c 001c 0001 0000003c 0010 ${"20".repeat(16)}`,
    `${head("0003")} c00c 0005 0001 0000003c 0004 01 62 c00e  01 62 c00e 0010 0001 0000003c 0004 03616263 c00c 0101 0001 00000000 0009 00 05 6973737565 6361`,
    `${head("0001")} c00c 0101 0001 00000000 0009 80 05 6973737565 6361`,
  ].map(hex);
  const seen = { read: 0, refused: 0 };
  const rounds = Number(process.env["FUZZ_ROUNDS"] ?? 20_000);
  for (let round = 0; round < rounds; round += 1) {
    const base = good[draw(good.length)] ?? Buffer.alloc(0);
    const message =
      round % 4 === 0 ? Buffer.from(Array.from({ length: draw(80) }, () => draw(256))) : Buffer.from(base);
    for (let flips = draw(4); flips > 0 && message.length > 0; flips -= 1) message[draw(message.length)] = draw(256);
    seen[readAll(message.subarray(0, draw(8) === 0 ? draw(message.length + 1) : message.length))] += 1;
  }
  t.ok(seen.read > rounds / 10 && seen.refused > rounds / 10, JSON.stringify(seen));
  t.end();
});

t.test("a message full of pointers and aliases takes no longer than its length", (t) => {
  const count = 5_000;
  const alias = (index: number): string =>
    `c00c 0005 0001 0000003c 0002 c0${(0x0c + (index % 2) * 2).toString(16).padStart(2, "0")}`;
  const message = hex(
    `${head(count.toString(16).padStart(4, "0"))} ${Array.from({ length: count }, (_, i) => alias(i)).join(" ")}`,
  );
  const begun = performance.now();
  readAll(message);
  t.ok(performance.now() - begun < 500);
  t.end();
});

t.test(
  "H-15b names that cost more than they say: chains of pointers, and very many labels, are not followed to their end",
  (t) => {
    const chain = (pointers: number): Buffer => {
      // Behind the question, as the data of a record: pointers, each to the one before it, and then an owner that points to the last.
      const links = Array.from({ length: pointers }, (_, index) => 0xc000 | (index === 0 ? 12 : 39 + 2 * (index - 1)));
      const data = links.map((link) => link.toString(16)).join("");
      const text = `c00c 0010 0001 0000003c ${(2 * pointers).toString(16).padStart(4, "0")} ${data}`;
      const last = (0xc000 | (39 + 2 * (pointers - 1))).toString(16);
      return hex(`${head("0002")} ${text} ${last} 0001 0001 0000003c 0004 c0000201`);
    };
    t.equal(answersOf(readReply(chain(126)), "A").length, 1, "as many as a name can have labels");
    t.throws(() => readReply(chain(127)), { name: "DnsMessageError", message: "a name has too many pointers" });

    const manyLabels = (count: number): Buffer => {
      const records = Array.from({ length: count }, () => "c00c 0001 0001 0000003c 0004 c0000201");
      const header = `abcd 8180 0001 ${count.toString(16).padStart(4, "0")} 0000 0000`;
      return hex(`${header} ${"01 61".repeat(120)} 00 0001 0001 ${records.join(" ")}`);
    };
    t.equal(readReply(manyLabels(400)).records.length, 400);
    t.throws(() => readReply(manyLabels(4_000)), {
      name: "DnsMessageError",
      message: "the message has too many names",
    });
    t.end();
  },
);
