import { generateKeyPairSync } from "node:crypto";
import t from "tap";
// oxlint-disable-next-line import/no-unassigned-import -- the witness needs its side effect
import "reflect-metadata";
import * as witness from "@peculiar/x509";
import { readDer } from "../../src/x509/der.ts";
import { encodeDer, sequence } from "../../src/x509/derWriter.ts";
import * as x from "../../src/x509/extensions.ts";
import { oids } from "../../src/x509/oid.ts";

const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(" ", ""), "hex");
const spki = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "der" });
const noNames = { dns: [], ip: [], uri: [] };

t.test("basicConstraints", (t) => {
  for (const constraints of [
    { cA: false },
    { cA: true },
    { cA: true, pathLenConstraint: 0 },
    { cA: true, pathLenConstraint: 127 },
  ]) {
    const extension = x.basicConstraints(constraints);
    t.match(extension, { oid: "2.5.29.19", critical: true });
    t.strictSame(x.readBasicConstraints(extension.value), constraints);
    const seen = new witness.BasicConstraintsExtension(encodeDer(x.encodeExtension(extension)));
    t.match(seen, { ca: constraints.cA, pathLength: constraints.pathLenConstraint, critical: true });
  }
  t.throws(() => x.basicConstraints({ cA: false, pathLenConstraint: 0 }), { name: "RangeError" });
  t.throws(() => x.basicConstraints({ cA: true, pathLenConstraint: 128 }), { name: "RangeError" });
  for (const value of ["3003010100", "3003020100", "30060101ff0201ff", "30080101ff0201000500", "0101ff"]) {
    t.throws(() => x.readBasicConstraints(hex(value)), { name: "DerError" }, value);
  }
  t.end();
});

t.test("keyUsage: every set of bits", (t) => {
  const wrong: number[] = [];
  for (let bits = 1; bits < 512; bits++) {
    const usages = x.keyUsages.filter((_, i) => (bits & (1 << i)) !== 0);
    const { value } = x.keyUsage(usages);
    if (x.readKeyUsage(value).join(",") !== usages.join(",")) wrong.push(bits);
    // The witness numbers its flags as the RFC numbers the bits.
    const flags: number = new witness.KeyUsagesExtension(encodeDer(x.encodeExtension(x.keyUsage(usages)))).usages;
    if (flags !== bits) wrong.push(bits);
  }
  t.strictSame(wrong, []);
  t.match(x.keyUsage(["digitalSignature"]), { oid: "2.5.29.15", critical: true, value: hex("03020780") });
  t.strictSame(x.keyUsage(["cRLSign", "keyCertSign"]).value, hex("03020106"), "in whatever order they are given");
  t.throws(() => x.keyUsage([]), { name: "RangeError" });
  const refused: readonly [string, string][] = [
    ["no bit", "0301 00"],
    ["a zero octet", "0302 00 00"],
    ["trailing zero bits", "0302 00 80"],
    ["a trailing zero octet", "0303 07 8000"],
    ["an unknown bit", "0303 06 8040"],
    ["an unknown bit alone", "0303 06 0040"],
    ["three octets", "0304 07 800080"],
    ["another type", "0402 0780"],
    ["trailing bytes", "0302 0780 00"],
  ];
  for (const [name, value] of refused) t.throws(() => x.readKeyUsage(hex(value)), { name: "DerError" }, name);
  t.end();
});

t.test("extendedKeyUsage", (t) => {
  const extension = x.extendedKeyUsage(["serverAuth", "clientAuth"]);
  t.match(extension, { oid: "2.5.29.37", critical: false });
  t.strictSame(x.readExtendedKeyUsage(extension.value), ["serverAuth", "clientAuth"]);
  t.strictSame(
    [...new witness.ExtendedKeyUsageExtension(encodeDer(x.encodeExtension(extension))).usages],
    [oids.serverAuth, oids.clientAuth],
  );
  t.strictSame(x.readExtendedKeyUsage(hex("3006 0604 551d2500")), ["2.5.29.37.0"], "others are dotted");
  t.throws(() => x.extendedKeyUsage([]), { name: "RangeError" });
  t.throws(() => x.readExtendedKeyUsage(hex("3000")), { name: "DerError" });
  t.throws(() => x.readExtendedKeyUsage(hex("30020500")), { name: "DerError" });
  t.end();
});

t.test("key identifiers are RFC 7093's, method 1", async (t) => {
  const point = spki.subarray(-65);
  const digest = Buffer.from(await crypto.subtle.digest("SHA-256", point)).subarray(0, 20);
  t.ok(x.keyIdentifier(spki).equals(digest));
  const subject = x.subjectKeyIdentifier(spki);
  t.match(subject, { oid: "2.5.29.14", critical: false });
  t.ok(x.readSubjectKeyIdentifier(subject.value).equals(digest));
  const seenSubject = new witness.SubjectKeyIdentifierExtension(encodeDer(x.encodeExtension(subject)));
  t.equal(seenSubject.keyId, digest.toString("hex"));
  const authority = x.authorityKeyIdentifier(digest);
  t.match(authority, { oid: "2.5.29.35", critical: false });
  t.ok(x.readAuthorityKeyIdentifier(authority.value).equals(digest));
  const seenAuthority = new witness.AuthorityKeyIdentifierExtension(encodeDer(x.encodeExtension(authority)));
  t.equal(seenAuthority.keyId, digest.toString("hex"));
  t.throws(() => x.keyIdentifier(Buffer.alloc(0)), { name: "DerError" });
  t.throws(() => x.readAuthorityKeyIdentifier(hex("3000")), { name: "DerError" });
  t.throws(() => x.readAuthorityKeyIdentifier(hex("3003820101")), { name: "DerError" });
  t.throws(() => x.readSubjectKeyIdentifier(hex("0500")), { name: "DerError" });
});

t.test("subjectAltName", (t) => {
  const names = {
    dns: ["a.example", "*.b.example"],
    ip: ["192.0.2.7", "2001:db8::1"],
    uri: ["spiffe://td.example/ns/prod/sa/web"],
  };
  for (const critical of [true, false]) {
    const extension = x.subjectAltName(names, critical);
    t.match(extension, { oid: "2.5.29.17", critical });
    t.strictSame(x.readSubjectAltName(extension.value), { permanentIdentifiers: [], ...names, other: [] });
    const seen = new witness.SubjectAlternativeNameExtension(encodeDer(x.encodeExtension(extension)));
    t.equal(seen.critical, critical);
    t.strictSame(seen.names.items.map(({ type, value }) => [type, value]).slice(0, 3), [
      ["dns", "a.example"],
      ["dns", "*.b.example"],
      ["ip", "192.0.2.7"],
    ]);
    t.match(seen.names.items.at(-1), { type: "url", value: "spiffe://td.example/ns/prod/sa/web" });
  }
  t.throws(() => x.subjectAltName(noNames, true), { name: "RangeError" });
  for (const value of ["", "a\n", "é", "a b", "a\u0000"]) {
    t.throws(() => x.subjectAltName({ ...noNames, dns: [value] }, true), { name: "RangeError" }, JSON.stringify(value));
    t.throws(() => x.subjectAltName({ ...noNames, uri: [value] }, true), { name: "RangeError" }, JSON.stringify(value));
  }
  t.throws(() => x.subjectAltName({ ...noNames, ip: ["::ffff:1.2.3.4"] }, true), { name: "NameError" });
  t.end();
});

t.test("names that we do not issue are told by their kind", (t) => {
  const members = "a007060100a0020500 810161 a300 a4023000 a500 880100".replaceAll(" ", "");
  const value = Buffer.concat([Buffer.from([0x30, members.length / 2]), hex(members)]);
  t.strictSame(x.readSubjectAltName(value).other, [
    "otherName",
    "rfc822Name",
    "x400Address",
    "directoryName",
    "ediPartyName",
    "registeredID",
  ]);
  t.end();
});

t.test("H-18a malformed subjectAltNames are refused", (t) => {
  const refused: readonly [string, string, RegExp][] = [
    ["no name", "3000", /is empty/],
    ["an empty dNSName", "3002 8200", /is empty/],
    ["an empty URI", "3002 8600", /is empty/],
    ["NUL in a dNSName", "3005 8203 610062", /printable ASCII/],
    ["a line end in a dNSName", "3004 8202 610a", /printable ASCII/],
    ["UTF-8 in a dNSName", "3004 8202 c3a9", /printable ASCII/],
    ["UTF-8 in a URI", "3004 8602 c3a9", /printable ASCII/],
    ["an address of 3 octets", "3005 8703 010203", /4 or 16/],
    ["an address with a mask", "300a 8708 0102030400000000", /4 or 16/],
    ["IPv4 in 16 octets", "3012 8710 00000000000000000000ffff01020304", /IPv4 address in 16/],
    ["a constructed dNSName", "3005 a203 160161", /not a GeneralName/],
    ["a primitive otherName", "3003 800161", /not a GeneralName/],
    ["tag 9", "3003 890161", /not a GeneralName/],
    ["an IA5String", "3003 160161", /not a GeneralName/],
    ["a SET", "3100", /not a SEQUENCE/],
    ["trailing bytes", "3003 820161 00", /follow the end/],
  ];
  for (const [name, value, message] of refused) {
    t.throws(() => x.readSubjectAltName(hex(value)), { name: "DerError", message }, name);
  }
  t.end();
});

const readList = (...parts: Buffer[]) => x.readExtensions(readDer(encodeDer(sequence(...parts))));

t.test("lists of extensions are read strictly", (t) => {
  const one = encodeDer(x.encodeExtension(x.basicConstraints({ cA: false })));
  t.strictSame(readList(one), [x.basicConstraints({ cA: false })]);
  t.throws(() => readList(), { name: "DerError", message: /is empty/ });
  t.throws(() => readList(one, one), { name: "DerError", message: /twice/ });
  t.throws(() => readList(hex("300c 0603551d13 010100 04023000")), {
    name: "DerError",
    message: /default criticality/,
  });
  t.throws(() => readList(hex("3005 0603551d13")), { name: "DerError", message: /two or three/ });
  t.throws(() => readList(hex("300e 0603551d13 0101ff 04023000 0500")), { name: "DerError", message: /two or three/ });
  t.throws(() => readList(hex("3009 0603551d13 30023000")), { name: "DerError", message: /OCTET STRING/ });
  t.throws(() => readList(hex("300c 0603551d13 0201ff 04023000")), { name: "DerError", message: /BOOLEAN/ });
  t.end();
});

t.test("lenient: a cA of FALSE that is written out, zeros behind the bits of KeyUsage, and nothing else", async (t) => {
  t.throws(() => x.readBasicConstraints(hex("3003010100")), { name: "DerError" });
  t.same(x.readBasicConstraints(hex("3003010100"), { lenient: true }), { cA: false });
  t.throws(() => x.readBasicConstraints(hex("3006010100020100"), { lenient: true }), { name: "DerError" });

  for (const text of ["03020104", "03020004", "0303000400", "0303070400"]) {
    t.throws(() => x.readKeyUsage(hex(text)), { name: "DerError" }, text);
    t.same(x.readKeyUsage(hex(text), { lenient: true }), ["keyCertSign"], text);
  }
  t.same(x.readKeyUsage(hex("03020204"), { lenient: true }), ["keyCertSign"], "as DER has it");
  for (const text of ["030100", "03020000", "0303000440", "030400040000"]) {
    t.throws(() => x.readKeyUsage(hex(text), { lenient: true }), { name: "DerError" }, text);
  }
});
