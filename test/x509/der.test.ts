import t from "tap";
import {
  booleanOf,
  contentOf,
  DerError,
  encodingOf,
  membersOf,
  octetAlignedBitsOf,
  oidOf,
  readDer,
  requireOneElement,
  smallIntegerOf,
  tags,
  textOf,
  timeOf,
} from "../../src/x509/der.ts";

const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(" ", ""), "hex");
const long = (length: number): string => "00".repeat(length);

t.test("what is DER is read", (t) => {
  const legal: readonly [string, string][] = [
    ["an empty SEQUENCE", "30 00"],
    ["TRUE and FALSE", "30 06 0101ff 010100"],
    ["INTEGERs at the edges of their sizes", "30 15 020100 02017f 0202 0080 020180 0202 ff7f 0202 7fff"],
    ["a length of 127", `04 7f ${long(127)}`],
    ["a length of 128", `04 81 80 ${long(128)}`],
    ["a length of 256", `04 82 0100 ${long(256)}`],
    ["a length of 65536", `04 83 010000 ${long(65536)}`],
    ["an empty BIT STRING and one with seven unused bits", "30 07 0301 00 0302 07 80"],
    ["NULL", "05 00"],
    ["an OID with a large arc", "06 05 2a 86 8d 03 01"],
    ["times", "30 20 170d 3439313233313233353935395a 180f 32303530303130313030303030305a"],
    ["a sorted SET", "31 06 020101 020102"],
    ["a SET with equal members", "31 06 020101 020101"],
    ["context-specific tags", "30 07 8001 41 a002 0500"],
  ];
  for (const [name, digits] of legal) {
    const input = hex(digits);
    t.ok(encodingOf(readDer(input)).equals(input), name);
  }
  t.end();
});

t.test("what is not DER is refused", (t) => {
  const illegal: readonly [string, string, RegExp][] = [
    ["nothing", "", /cut short/],
    ["a tag alone", "30", /cut short/],
    ["trailing bytes", "30 00 00 00", /follow the end/],
    ["an indefinite length", "30 80 0000", /indefinite/],
    ["a long length below 128", `04 81 7f ${long(127)}`, /shortest/],
    ["a long length with a leading zero", `04 82 0080 ${long(128)}`, /shortest/],
    ["three length octets for two", `04 83 000100 ${long(256)}`, /shortest/],
    ["a length of four octets", "04 84 01000000", /too large/],
    ["the reserved length octet", "04 ff", /too large/],
    ["a length that is cut short", "04 82 01", /cut short/],
    ["content that is cut short", "04 05 00", /longer than/],
    ["a member that outgrows its SEQUENCE", "30 03 0405 00 00000000", /longer than/],
    ["a high tag number", "1f 81 00 00", /above 30/],
    ["end of contents", "30 02 0000", /not in DER form/],
    ["a primitive SEQUENCE", "10 00", /not in DER form/],
    ["a constructed OCTET STRING", "24 03 040100", /not in DER form/],
    ["a constructed UTF8String", "2c 03 0c0141", /not in DER form/],
    ["REAL", "09 00", /not in DER form/],
    ["BOOLEAN 1", "01 01 01", /not in DER form/],
    ["an empty BOOLEAN", "01 00", /not in DER form/],
    ["an empty INTEGER", "02 00", /not in DER form/],
    ["a padded INTEGER", "02 02 007f", /not in DER form/],
    ["a padded negative INTEGER", "02 02 ff80", /not in DER form/],
    ["an empty BIT STRING without its first octet", "03 00", /not in DER form/],
    ["unused bits in an empty BIT STRING", "03 01 01", /not in DER form/],
    ["eight unused bits", "03 02 08 00", /not in DER form/],
    ["unused bits that are set", "03 02 01 01", /not in DER form/],
    ["NULL with content", "05 01 00", /not in DER form/],
    ["an empty OID", "06 00", /not in DER form/],
    ["an OID with a padded arc", "06 03 2a 80 01", /not in DER form/],
    ["an OID that ends within an arc", "06 02 2a 86", /not in DER form/],
    ["an OID of 65 octets", `06 41 ${"2a".repeat(65)}`, /not in DER form/],
    ["a UTCTime without seconds", "17 0b 323630313031303030305a", /not in DER form|longer/],
    ["a UTCTime with an offset", "17 11 3236303130313030303030302b30313030", /not in DER form/],
    ["a UTCTime on 30 February", "17 0d 3236303233303030303030305a", /not in DER form/],
    ["a UTCTime at 24:00", "17 0d 3236303130313234303030305a", /not in DER form/],
    ["a GeneralizedTime with a fraction", "18 11 32303530303130313030303030302e355a", /not in DER form/],
    ["an unsorted SET", "31 06 020102 020101", /not in DER form/],
  ];
  for (const [name, digits, message] of illegal) {
    t.throws(() => readDer(hex(digits)), { name: "DerError", message }, name);
  }
  t.end();
});

const nested = (levels: number): Buffer => {
  let bytes = Buffer.from([0x30, 0]);
  for (let i = 1; i < levels; i++) bytes = Buffer.from([0x30, bytes.length, ...bytes]);
  return bytes;
};

t.test("nesting ends at 16 levels", (t) => {
  t.ok(readDer(nested(16)));
  t.throws(() => readDer(nested(17)), { name: "DerError", message: /nested/ });
  t.end();
});

const one = (digits: string) => readDer(hex(digits));

t.test("values are read by their type", (t) => {
  t.equal(smallIntegerOf(one("02 04 7fffffff"), "It"), 0x7fffffff);
  t.throws(() => smallIntegerOf(one("02 01 80"), "It"), /It is out of range/);
  t.throws(() => smallIntegerOf(one("02 05 0080000000"), "It"), /It is out of range/);
  t.equal(booleanOf(one("01 01 ff"), "It"), true);
  t.equal(booleanOf(one("01 01 00"), "It"), false);
  t.equal(oidOf(one("06 03 2a 03 04"), "It"), "1.2.3.4");
  t.equal(octetAlignedBitsOf(one("03 03 00 0102"), "It").toString("hex"), "0102");
  t.throws(() => octetAlignedBitsOf(one("03 02 01 02"), "It"), /not a whole number of octets/);
  t.equal(contentOf(one("04 02 0102"), tags.octetString, "It").toString("hex"), "0102");
  t.equal(membersOf(one("30 04 0500 0500"), tags.sequence, "It").length, 2);
  t.throws(() => contentOf(one("05 00"), tags.octetString, "It"), new DerError("It is not an OCTET STRING"));
  t.throws(() => contentOf(undefined, tags.octetString, "It"), new DerError("It is missing"));
  t.equal(timeOf(one("17 0d 3530303130313030303030305a"), "It").toISOString(), "1950-01-01T00:00:00.000Z");
  t.equal(timeOf(one("18 0f 32303530303130313030303030305a"), "It").toISOString(), "2050-01-01T00:00:00.000Z");
  t.throws(() => timeOf(one("18 0f 32303439303130313030303030305a"), "It"), /GeneralizedTime before 2050/);
  t.throws(() => timeOf(one("05 00"), "It"), /not a time/);
  t.throws(() => timeOf(undefined, "It"), new DerError("It is missing"));
  t.end();
});

const text = (tag: number, content: Buffer) => textOf(readDer(Buffer.from([tag, content.length, ...content])), "It");

t.test("text is checked for its characters", (t) => {
  t.equal(text(tags.utf8String, Buffer.from("bücher")), "bücher");
  t.equal(text(tags.printableString, Buffer.from("A-1 (b)")), "A-1 (b)");
  t.equal(text(tags.ia5String, Buffer.from("a@b")), "a@b");
  t.throws(() => text(tags.utf8String, hex("c3 28")), /not UTF-8/);
  t.throws(() => text(tags.utf8String, hex("ed a0 80")), /not UTF-8/, "a surrogate");
  t.throws(() => text(tags.printableString, Buffer.from("a@b")), /PrintableString/);
  t.throws(() => text(tags.ia5String, hex("e9")), /IA5/);
  t.throws(() => textOf(undefined, "It"), new DerError("It is missing"));
  t.throws(() => text(0x1e, hex("0041")), /not a UTF8String/);
  t.throws(() => text(0x14, hex("41")), /not a UTF8String/);
  t.end();
});

t.test("one element by its header", (t) => {
  requireOneElement(hex("30 03 ffffff"), tags.sequence, "It");
  for (const digits of ["", "30", "31 00", "30 01", "30 00 00", "30 81 00"]) {
    t.throws(() => requireOneElement(hex(digits), tags.sequence, "It"), { name: "DerError" }, digits);
  }
  t.end();
});

t.test("a view into a larger buffer is read as that view", (t) => {
  const large = new Uint8Array([9, 9, 0x05, 0x00, 9]);
  t.equal(readDer(large.subarray(2, 4)).tag, tags.null);
  t.end();
});
