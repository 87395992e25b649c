import t from "tap";
import { contentOf, encodingOf, readDer, tags } from "../../src/x509/der.ts";
import * as write from "../../src/x509/derWriter.ts";
import { decodeOid, encodeOid, isOidContent, oids } from "../../src/x509/oid.ts";
import { formatTime, parseGeneralizedTime, parseUtcTime } from "../../src/x509/time.ts";

t.test("every size of length comes back", (t) => {
  for (const size of [0, 1, 127, 128, 255, 256, 65535, 65536]) {
    const content = Buffer.alloc(size, 7);
    const bytes = write.encodeDer(write.sequence(write.octetString(content)));
    const [member] = readDer(bytes).children;
    t.ok(contentOf(member, tags.octetString, "It").equals(content), String(size));
  }
  t.throws(() => write.octetString(Buffer.alloc(0x1000000)), { name: "RangeError" });
  t.end();
});

const hex = (value: write.DerValue) => write.encodeDer(value).toString("hex");

t.test("values have their X.690 encoding", (t) => {
  t.equal(hex(write.booleanTrue), "0101ff");
  t.equal(hex(write.smallInteger(127)), "02017f");
  t.equal(hex(write.bitString(Buffer.from([1, 2]))), "0303000102");
  t.equal(hex(write.utf8String("é")), "0c02c3a9");
  t.equal(hex(write.setOfOne(write.sequence())), "31023000");
  t.equal(hex(write.constructed(3, write.sequence())), "a3023000");
  t.equal(hex(write.primitive(2, Buffer.from("a"))), "820161");
  t.equal(
    hex(write.objectIdentifier("1.2.840.113549")),
    "06062a864886f70d",
    "RFC 8017's arc, not among the known ones",
  );
  t.equal(hex(write.time(new Date("2049-12-31T23:59:59Z"))), `170d${Buffer.from("491231235959Z").toString("hex")}`);
  t.equal(hex(write.time(new Date("2050-01-01T00:00:00Z"))), `180f${Buffer.from("20500101000000Z").toString("hex")}`);
  for (const value of [-1, 128, 1.5]) t.throws(() => write.smallInteger(value), { name: "RangeError" });
  t.end();
});

t.test("OIDs go there and back", (t) => {
  const dotted = ["0.0", "0.39", "1.39", "2.0", "2.39", "2.999.3", "1.3.6.1.4.1.311.2.1.14"];
  const uuidArc = "2.25.329800735698586629295641978511506172918";
  for (const oid of [...dotted, uuidArc, ...Object.values(oids)]) {
    const content = encodeOid(oid);
    t.ok(isOidContent(content), oid);
    t.equal(decodeOid(content), oid);
  }
  for (const oid of ["", "1", "1.40", "3.1", "1.2.", "1..2", "01.2", "1.02", "1.2.a", `1.2${".1".repeat(80)}`]) {
    t.throws(() => encodeOid(oid), { name: "RangeError" }, oid);
  }
  t.end();
});

t.test("times keep to their years and to whole seconds", (t) => {
  t.equal(formatTime(new Date("1950-01-01T00:00:00Z")), "500101000000Z");
  t.equal(formatTime(new Date("9999-12-31T23:59:59Z")), "99991231235959Z");
  for (const date of ["1949-12-31T23:59:59Z", "+010000-01-01T00:00:00Z", "2026-01-01T00:00:00.001Z", "never"]) {
    t.throws(() => formatTime(new Date(date)), { name: "RangeError" }, date);
  }
  t.equal(parseUtcTime("491231235959Z")?.getUTCFullYear(), 2049);
  t.equal(parseUtcTime("500101000000Z")?.getUTCFullYear(), 1950);
  t.equal(parseUtcTime("240229000000Z")?.getUTCDate(), 29);
  for (const text of [
    "230229000000Z",
    "231301000000Z",
    "230101006000Z",
    "230101000060Z",
    "2301010000Z",
    "23010100000 Z",
  ]) {
    t.equal(parseUtcTime(text), undefined, text);
  }
  t.equal(parseGeneralizedTime("00000101000000Z")?.getUTCFullYear(), 0);
  t.equal(parseGeneralizedTime("20500101000000"), undefined);
  t.end();
});

t.test("parts that are written already are taken as they are", (t) => {
  const inner = write.encodeDer(write.sequence(write.booleanTrue));
  const outer = write.encodeDer(write.sequence(inner, write.sequence(inner)));
  t.equal(outer.toString("hex"), "300c30030101ff300530030101ff");
  t.ok(encodingOf(readDer(outer)).equals(outer));
  t.end();
});
