import { decode as witness } from "cborg";
import fc from "fast-check";
import t from "tap";
import { CborError, decodeCbor, isCborMap, type CborLimits } from "../../src/encoding/cbor.ts";
import { cborHead, encodeCbor, RawCbor, TaggedCbor, type Writable } from "../support/cborWriter.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
const why = (input: Buffer, limits?: CborLimits): string => {
  try {
    decodeCbor(input, limits);
    return "accepted";
  } catch (error) {
    if (error instanceof CborError) return error.message;
    throw error;
  }
};

t.test("the examples of RFC 8949 appendix A that have a type which is read", async (t) => {
  const examples: readonly (readonly [string, unknown])[] = [
    ["00", 0],
    ["01", 1],
    ["0a", 10],
    ["17", 23],
    ["1818", 24],
    ["1819", 25],
    ["1864", 100],
    ["1903e8", 1000],
    ["1a000f4240", 1_000_000],
    ["1b000000e8d4a51000", 1_000_000_000_000],
    ["20", -1],
    ["29", -10],
    ["3863", -100],
    ["3903e7", -1000],
    ["f4", false],
    ["f5", true],
    ["f6", null],
    ["40", Buffer.alloc(0)],
    ["4401020304", Buffer.from([1, 2, 3, 4])],
    ["60", ""],
    ["6161", "a"],
    ["6449455446", "IETF"],
    ["62225c", '"\\'],
    ["62c3bc", "ü"],
    ["63e6b0b4", "水"],
    ["64f0908591", "\ud800\udd51"],
    ["80", []],
    ["83010203", [1, 2, 3]],
    ["8301820203820405", [1, [2, 3], [4, 5]]],
    ["a0", new Map()],
    [
      "a201020304",
      new Map([
        [1, 2],
        [3, 4],
      ]),
    ],
    [
      "a26161016162820203",
      new Map<string, unknown>([
        ["a", 1],
        ["b", [2, 3]],
      ]),
    ],
    ["826161a161626163", ["a", new Map([["b", "c"]])]],
  ];
  for (const [text, value] of examples) t.strictSame(decodeCbor(hex(text)), value, text);
});

t.test("what is written is read back, and cborg reads the same", async (t) => {
  const scalar = fc.oneof(
    fc.maxSafeInteger(),
    fc.integer({ min: -300, max: 300 }),
    fc.string({ unit: "grapheme" }),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 300 }).map((octets) => Buffer.from(octets)),
  );
  const key = fc.oneof(fc.integer(), fc.string());
  const { value } = fc.letrec<{ value: Writable }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      scalar,
      fc.array(tie("value"), { maxLength: 30 }),
      fc
        .array(fc.tuple(key, tie("value")), { maxLength: 30 })
        .map((members) => new Map<number | string, Writable>(members)),
    ),
  }));
  const strict = { strict: true, useMaps: true, rejectDuplicateMapKeys: true, allowIndefinite: false };
  fc.assert(
    fc.property(value, (written) => {
      const octets = encodeCbor(written);
      if (octets.length > 65_536) return;
      const read = decodeCbor(octets, { itemsMax: 100_000 });
      t.strictSame(encodeCbor(read as Writable), octets, "the way back");
      t.strictSame(plain(read), plain(witness(octets, strict)), "the witness");
    }),
    { numRuns: 150 },
  );
});

/** Octets as hex text, so that a Buffer and a Uint8Array compare. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `h'${Buffer.from(value).toString("hex")}'`;
  if (value instanceof Map) return [...(value as Map<unknown, unknown>)].map(([key, member]) => [key, plain(member)]);
  return Array.isArray(value) ? value.map(plain) : value;
}

t.test("one encoding each: no number or length is written longer than it needs", async (t) => {
  const longer = [
    "1800",
    "1817",
    "1900ff",
    "1a0000ffff",
    "1b00000000ffffffff",
    "3800",
    "3900ff",
    "580141 ",
    "780161",
    "990001 00",
    "b90001 0000",
    "d90012 00",
  ];
  for (const text of longer) {
    t.equal(why(hex(text), { tags: [18] }), "The CBOR has a number or length that is not in its shortest form", text);
  }
});

t.test("lengths that only their end tells are refused, of every type", async (t) => {
  for (const text of ["5f4101ff", "7f6161ff", "9fff", "9f01ff", "bfff", "bf0102ff", "1f", "3f", "df00"]) {
    t.equal(why(hex(text)), "The CBOR has an indefinite length", text);
  }
  t.match(why(hex("ff")), "simple value", "a break by itself");
});

t.test("heads that are reserved, floats, undefined and other simple values are refused", async (t) => {
  for (const text of ["1c", "3d", "5e", "7c00", "9d", "bc", "dc"]) {
    t.equal(why(hex(text)), "The CBOR has a head that is reserved", text);
  }
  for (const text of [
    "f90000",
    "f97e00",
    "fa47c35000",
    "fb3ff199999999999a",
    "f7",
    "e0",
    "f0",
    "f3",
    "f814",
    "f820",
    "f8ff",
    "fc",
    "fe",
  ]) {
    t.match(why(hex(text)), "float, or a simple value", text);
  }
});

t.test("numbers are those that JavaScript holds exactly", async (t) => {
  t.equal(decodeCbor(hex("1b001fffffffffffff")), Number.MAX_SAFE_INTEGER);
  t.equal(decodeCbor(hex("3b001ffffffffffffe")), Number.MIN_SAFE_INTEGER);
  t.equal(why(hex("1b0020000000000000")), "The CBOR has a number beyond 2^53 - 1");
  t.equal(why(hex("1bffffffffffffffff")), "The CBOR has a number beyond 2^53 - 1");
  t.equal(why(hex("3b001fffffffffffff")), "The CBOR has a number below -(2^53 - 1)");
  t.equal(why(hex("5b0020000000000000")), "The CBOR has a number beyond 2^53 - 1", "nor is there such a length");
});

t.test("a map key twice is refused at any depth, whether integer or text", async (t) => {
  for (const text of [
    "a200010002",
    "a2200120 02",
    "a2616101616102",
    "81a2616101616102",
    "a10fa2616101616102",
    "a260006000",
  ]) {
    t.equal(why(hex(text)), "The CBOR has a map key twice", text);
  }
  t.strictSame(
    decodeCbor(hex("a3010061310061 30a10100")),
    new Map<number | string, unknown>([
      [1, 0],
      ["1", 0],
      ["0", new Map([[1, 0]])],
    ]),
    "the text 1 is another key than the number 1, and each map has its own keys",
  );
  const bare = decodeCbor(encodeCbor(new Map([["__proto__", 1]])));
  t.ok(isCborMap(bare) && bare.get("__proto__") === 1 && bare.get("constructor") === undefined);
});

t.test("map keys are integers or texts", async (t) => {
  for (const text of ["a1410000", "a1800000", "a1a00000", "a1f500", "a1f600"]) {
    t.equal(why(hex(text)), "The CBOR has a map key that is neither an integer nor a text", text);
  }
});

t.test("a text is UTF-8: no lone surrogate, no overlong form", async (t) => {
  for (const text of ["61ff", "62c080", "63eda080", "62c328", "61c3", "64f8888080"]) {
    t.equal(why(hex(text)), "The CBOR has a text that is not UTF-8", text);
  }
});

t.test("only what fills the input is read", async (t) => {
  t.equal(why(Buffer.alloc(0)), "The CBOR is cut short");
  const whole = encodeCbor(new Map<string, Writable>([["a", [1, 1000, "text", Buffer.alloc(40), -70_000, true]]]));
  t.equal(why(whole), "accepted");
  for (let length = 0; length < whole.length; length++) {
    t.equal(why(whole.subarray(0, length)), "The CBOR is cut short", `${length} bytes of ${whole.length}`);
  }
  t.equal(why(Buffer.concat([whole, Buffer.alloc(1)])), "Bytes follow the end of the CBOR");
});

t.test("lengths that lie cost nothing", async (t) => {
  for (const text of [
    "5a7fffffff",
    "7a7fffffff",
    "9a7fffffff",
    "ba7fffffff",
    "9b001fffffffffffff",
    "bb001fffffffffffff",
    "5b001fffffffffffff",
  ]) {
    t.equal(why(hex(text)), "The CBOR is cut short", text);
  }
});

t.test("depth, values and bytes are bounded", async (t) => {
  const nested = (depth: number): Buffer => Buffer.concat([Buffer.alloc(depth, 0x81), hex("00")]);
  t.equal(why(nested(16)), "accepted");
  t.equal(why(nested(17)), "The CBOR is nested more than 16 deep");
  t.equal(why(nested(60_000)), "The CBOR is nested more than 16 deep");
  t.equal(why(nested(17), { depthMax: 99 }), "The CBOR is nested more than 16 deep", "whatever the caller says");
  t.equal(why(nested(3), { depthMax: 2 }), "The CBOR is nested more than 2 deep");
  t.equal(why(hex("a100 a100 a10000"), { depthMax: 2 }), "The CBOR is nested more than 2 deep");
  t.equal(why(hex("d2d2d200"), { depthMax: 2, tags: [18] }), "The CBOR is nested more than 2 deep", "tags count");

  const many = (count: number): Buffer => Buffer.concat([cborHead(4, count), Buffer.alloc(count)]);
  t.equal(why(many(1023)), "accepted");
  t.equal(why(many(1024)), "The CBOR has more than 1024 values");
  t.equal(why(hex("a20102 0304"), { itemsMax: 4 }), "The CBOR has more than 4 values", "keys count");

  t.equal(why(encodeCbor(Buffer.alloc(65_533 - 2))), "accepted");
  t.equal(why(encodeCbor(Buffer.alloc(65_536))), "The CBOR has more than 65536 bytes");
  t.equal(why(hex("0000"), { bytesMax: 1 }), "The CBOR has more than 1 bytes");
});

t.test("a tag is read where the caller names it, and nowhere else", async (t) => {
  const tagged = encodeCbor(new TaggedCbor(18, [1]));
  t.equal(why(tagged), "The CBOR has a tag that is not read here");
  t.equal(why(tagged, { tags: [17] }), "The CBOR has a tag that is not read here");
  t.strictSame(decodeCbor(tagged, { tags: [18] }), { tag: 18, value: [1] });
  t.equal(why(hex("c249010000000000000000"), { tags: [18] }), "The CBOR has a tag that is not read here", "a bignum");
});

t.test("messages quote nothing of the input", async (t) => {
  t.notMatch(why(encodeCbor([new RawCbor("a2"), "secret", 1, "secret", 2])), /secret/);
  t.notMatch(why(encodeCbor(["secret", new RawCbor("f7")])), /secret/);
});
