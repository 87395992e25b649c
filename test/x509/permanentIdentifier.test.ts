// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 wants its side effect first
import "reflect-metadata";
import { generateKeyPairSync } from "node:crypto";
import * as witness from "@peculiar/x509";
import t from "tap";
import { readCsr } from "../../src/x509/csr.ts";
import { encodeCsr } from "../../src/x509/csrWriter.ts";
import { readDer } from "../../src/x509/der.ts";
import {
  constructed,
  type DerPart,
  encodeDer,
  objectIdentifier,
  sequence,
  smallInteger,
  utf8String,
} from "../../src/x509/derWriter.ts";
import { encodeExtension, noNames, readSubjectAltName, subjectAltName } from "../../src/x509/extensions.ts";
import { oids } from "../../src/x509/oid.ts";
import { parsePermanentIdentifier, permanentIdentifierName } from "../../src/x509/permanentIdentifier.ts";
import { openssl } from "./openssl.ts";

const legal = [
  "ABCDEF123456",
  "ABCDEF123456/1.2.3.4",
  "x/0.0",
  "x/1.39",
  "x/2.999.0",
  "Größe 7/2.5.4",
  "a b",
  ".",
  "00008110-001",
  "x".repeat(512),
];

t.test("RDA-1 the text of a permanent identifier is what the draft's grammar makes", async (t) => {
  t.strictSame(parsePermanentIdentifier("ABCDEF123456"), { device: "ABCDEF123456", assigner: undefined });
  t.strictSame(parsePermanentIdentifier("ABCDEF123456/1.2.3.4"), { device: "ABCDEF123456", assigner: "1.2.3.4" });
  for (const text of legal) t.doesNotThrow(() => parsePermanentIdentifier(text), text.slice(0, 20));
  const refused: readonly [string, RegExp][] = [
    ["", /name a device/],
    ["/1.2.3", /name a device/],
    ["a/", /OID of an assigner/],
    ["a/1", /OID of an assigner/],
    ["a/3.1", /OID of an assigner/],
    ["a/1.40", /OID of an assigner/],
    ["a/1.02", /OID of an assigner/],
    ["a/1.2.", /OID of an assigner/],
    ["a/1.2.03", /OID of an assigner/],
    ["a/ 1.2.3", /OID of an assigner/],
    ["a/x", /OID of an assigner/],
    [`a/1.2.${"9".repeat(40)}`, /OID of an assigner/],
    [`a/1.2${".127".repeat(70)}`, /OID of an assigner/],
    ["a/b/1.2.3", /more than one slash/],
    ["\ud800", /not UTF-8/],
    ["x".repeat(513), /more than 512 octets/],
    ["é".repeat(257), /more than 512 octets/],
  ];
  for (const [text, message] of refused) {
    t.throws(() => parsePermanentIdentifier(text), { name: "PermanentIdentifierError", message }, text.slice(0, 20));
  }
});

t.test("RDA-1 a SAN says it as RFC 4043 has it, and is read back to the octet", async (t) => {
  for (const text of legal) {
    const { value } = subjectAltName({ dns: ["a.example"], ip: [], uri: [], permanentIdentifiers: [text] }, true);
    t.strictSame(readSubjectAltName(value), { ...noNames(), dns: ["a.example"], permanentIdentifiers: [text] });
  }
  const der = encodeDer(permanentIdentifierName("A1/1.2.3.4"));
  // otherName [0] { 1.3.6.1.5.5.7.8.3, [0] { SEQUENCE { UTF8String "A1", OID 1.2.3.4 } } }
  t.equal(der.toString("hex"), "a01706082b06010505070803a00b30090c02413106032a0304");
  const extension = subjectAltName({ ...noNames(), permanentIdentifiers: ["A1/1.2.3.4"] }, true);
  const seen = new witness.SubjectAlternativeNameExtension(encodeDer(encodeExtension(extension)));
  t.equal(seen.critical, true);
  t.throws(() => subjectAltName({ ...noNames(), permanentIdentifiers: ["a/b"] }, true), {
    name: "PermanentIdentifierError",
  });
});

const san = (...members: DerPart[]): Buffer => encodeDer(sequence(constructed(0, ...members)));
const said = (...members: DerPart[]): Buffer =>
  san(objectIdentifier(oids.permanentIdentifier), constructed(0, sequence(...members)));

t.test("an otherName that no text says is a name of another kind, never a permanent identifier", async (t) => {
  const others: readonly [string, Buffer][] = [
    ["another type", san(objectIdentifier("1.3.6.1.4.1.311.20.2.3"), constructed(0, utf8String("a")))],
    ["no member at all", said()],
    ["an assigner only", said(objectIdentifier("1.2.3"))],
    ["an empty name", said(utf8String(""))],
    ["a slash, as if there were an assigner", said(utf8String("A/1.2.3"))],
    ["too long a name", said(utf8String("x".repeat(513)))],
  ];
  for (const [what, value] of others) {
    t.strictSame(readSubjectAltName(value), { ...noNames(), other: ["otherName"] }, what);
  }
});

t.test("H-18a malformed otherNames are refused", async (t) => {
  const type = objectIdentifier(oids.permanentIdentifier);
  const refused: readonly [string, Buffer][] = [
    ["nothing", san()],
    ["no value", san(type)],
    ["a value without its tag", san(type, sequence(utf8String("a")))],
    ["two values", san(type, constructed(0, sequence(utf8String("a")), sequence(utf8String("b"))))],
    ["a third member", san(type, constructed(0, sequence(utf8String("a"))), type)],
    ["no SEQUENCE", san(type, constructed(0, utf8String("a")))],
    ["three members inside", said(utf8String("a"), objectIdentifier("1.2.3"), objectIdentifier("1.2.3"))],
    ["an assigner that is no OID", said(utf8String("a"), smallInteger(1))],
    ["a type that is no OID", san(utf8String("a"), constructed(0, sequence(utf8String("a"))))],
    ["a name that is not UTF-8", Buffer.from("3015a01306082b06010505070803a00730050c03c32861", "hex")],
  ];
  for (const [what, value] of refused) t.throws(() => readSubjectAltName(value), { name: "DerError" }, what);
});

t.test("RDA-6 a request may name the device; an independent reader finds the same", async (t) => {
  const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const csr = encodeCsr({ key, dns: [], ip: [], uri: [], permanentIdentifiers: ["A1/1.2.3.4", "Größe"] });
  t.doesNotThrow(() => readDer(csr));
  t.strictSame(readCsr(csr).names, { ...noNames(), permanentIdentifiers: ["A1/1.2.3.4", "Größe"] });
  const text = openssl(["req", "-inform", "DER", "-noout", "-text"], csr).toString();
  t.match(text, /othername:.*Permanent Identifier|othername: 1\.3\.6\.1\.5\.5\.7\.8\.3/i);
});
