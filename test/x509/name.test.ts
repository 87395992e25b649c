import t from "tap";
import { tags } from "../../src/x509/der.ts";
import {
  der,
  type DerPart,
  encodeDer,
  objectIdentifier,
  sequence,
  setOfOne,
  utf8String,
} from "../../src/x509/derWriter.ts";
import { commonNameOf, encodeName } from "../../src/x509/name.ts";
import { oids } from "../../src/x509/oid.ts";

const attribute = (type: string, value: DerPart) => sequence(objectIdentifier(type), value);
const rdn = (type: string, value: DerPart) => setOfOne(attribute(type, value));
const nameOf = (...parts: DerPart[]): Buffer => encodeDer(sequence(...parts));

t.test("names are written as UTF8Strings, organization first", (t) => {
  t.equal(encodeName({}).toString("hex"), "3000");
  t.ok(
    encodeName({ commonName: "a", organization: "b" }).equals(
      nameOf(rdn(oids.organizationName, utf8String("b")), rdn(oids.commonName, utf8String("a"))),
    ),
  );
  t.ok(encodeName({ commonName: "😀".repeat(64) }), "64 characters of four octets each");
  for (const value of ["", "a".repeat(65), "a\n", "\u0000", "a\u0085", "\ud800"]) {
    t.throws(() => encodeName({ commonName: value }), { name: "RangeError" }, JSON.stringify(value));
    t.throws(() => encodeName({ organization: value }), { name: "RangeError" }, JSON.stringify(value));
  }
  t.end();
});

t.test("the commonName is found wherever it stands", (t) => {
  t.equal(commonNameOf(encodeName({ commonName: "Mayfly Root", organization: "Mayfly" })), "Mayfly Root");
  t.equal(commonNameOf(encodeName({ organization: "Mayfly" })), undefined);
  t.equal(commonNameOf(encodeName({})), undefined);
  const printable = der(tags.printableString, Buffer.from("a.example"));
  t.equal(commonNameOf(nameOf(rdn(oids.commonName, printable))), "a.example");
  const multiValued = der(
    tags.set,
    attribute(oids.commonName, utf8String("cn")),
    attribute(oids.organizationName, utf8String("org")),
  );
  t.equal(commonNameOf(nameOf(multiValued)), "cn");
  const teletex = der(0x14, Buffer.from("org"));
  t.equal(commonNameOf(nameOf(rdn(oids.organizationName, teletex))), undefined, "other attributes may be of any type");
  t.end();
});

t.test("malformed names are refused", (t) => {
  const cn = rdn(oids.commonName, utf8String("a"));
  const refused: readonly [string, Buffer, RegExp][] = [
    ["two commonNames", nameOf(cn, cn), /more than one commonName/],
    [
      "two in one RDN",
      nameOf(der(tags.set, attribute(oids.commonName, utf8String("a")), attribute(oids.commonName, utf8String("b")))),
      /more than one commonName/,
    ],
    ["an empty commonName", nameOf(rdn(oids.commonName, utf8String(""))), /is empty/],
    ["NUL in it", nameOf(rdn(oids.commonName, utf8String("a\u0000b"))), /control character/],
    ["a line end in it", nameOf(rdn(oids.commonName, utf8String("a\r\nb"))), /control character/],
    ["a T61String", nameOf(rdn(oids.commonName, der(0x14, Buffer.from("a")))), /is not a UTF8String/],
    ["a BMPString", nameOf(rdn(oids.commonName, der(0x1e, Buffer.from([0, 65])))), /is not a UTF8String/],
    ["an INTEGER", nameOf(rdn(oids.commonName, der(tags.integer, Buffer.from([5])))), /is not a UTF8String/],
    ["an empty RDN", nameOf(der(tags.set)), /is empty/],
    ["no SET", nameOf(sequence()), /is not a SET/],
    [
      "an attribute without a value",
      nameOf(setOfOne(sequence(objectIdentifier(oids.commonName)))),
      /exactly one value/,
    ],
    ["an empty attribute", nameOf(setOfOne(sequence())), /is missing/],
    ["not a SEQUENCE", encodeDer(setOfOne(cn)), /is not a SEQUENCE/],
    ["trailing bytes", Buffer.concat([nameOf(cn), Buffer.alloc(1)]), /follow the end/],
  ];
  for (const [name, bytes, message] of refused) {
    t.throws(() => commonNameOf(bytes), { name: "DerError", message }, name);
  }
  t.end();
});
