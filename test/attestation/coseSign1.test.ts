import { generateKeyPairSync, sign } from "node:crypto";
import t from "tap";
import { isSignedEs384, readCoseSign1, sigStructure } from "../../src/attestation/coseSign1.ts";
import { encodeCbor, RawCbor, TaggedCbor, type Writable } from "../support/cborWriter.ts";

const keys = generateKeyPairSync("ec", { namedCurve: "P-384" });
const protectedHeader = encodeCbor(new Map([[1, -35]]));
const payload = Buffer.from("what is signed");
const signed = encodeCbor(["Signature1", protectedHeader, Buffer.of(), payload]);
const signature = sign("sha384", signed, { key: keys.privateKey, dsaEncoding: "ieee-p1363" });
const message: readonly Writable[] = [protectedHeader, new Map(), payload, signature];
const read = (value: Writable) => readCoseSign1(encodeCbor(value), {});

t.test("what is signed is Sig_structure, for payloads of any length", async (t) => {
  for (const length of [0, 1, 23, 24, 255, 256, 65_535, 65_536]) {
    for (const header of [Buffer.of(), protectedHeader, Buffer.alloc(30)]) {
      const octets = Buffer.alloc(length, 7);
      t.strictSame(sigStructure(header, octets), encodeCbor(["Signature1", header, Buffer.of(), octets]), `${length}`);
    }
  }
});

t.test("with tag 18 and without, it is the same message", async (t) => {
  t.strictSame(read(message), read(new TaggedCbor(18, message)));
  t.strictSame(read(message).signed, signed);
  t.ok(isSignedEs384(read(message), keys.publicKey));
});

t.test("anything else is malformed", async (t) => {
  const wrong: readonly (readonly [string, Writable])[] = [
    ["tag 98, COSE_Sign", new TaggedCbor(98, message)],
    ["tag 17, COSE_Mac0", new TaggedCbor(17, message)],
    ["the tag twice", new TaggedCbor(18, new TaggedCbor(18, message))],
    ["three members", message.slice(0, 3)],
    ["five members", [...message, 0]],
    ["a map", new Map([[1, 2]])],
    ["a detached payload", message.with(2, null)],
    ["a protected header that is a map", message.with(0, new Map([[1, -35]]))],
    ["an unprotected header that is octets", message.with(1, Buffer.of())],
    ["a signature that is text", message.with(3, "x")],
    ["a header with a key twice", message.with(1, new RawCbor("a201000100"))],
    ["null", null],
  ];
  for (const [name, value] of wrong)
    t.throws(() => read(value), { name: "EvidenceRefused", code: "evidenceMalformed" }, name);
});

t.test("a signature of another message, key, curve or form does not verify", async (t) => {
  const other = generateKeyPairSync("ec", { namedCurve: "P-384" });
  const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
  t.notOk(isSignedEs384(read(message), other.publicKey));
  t.notOk(isSignedEs384(read(message.with(2, Buffer.from("what is signeD"))), keys.publicKey));
  t.notOk(isSignedEs384(read(message.with(0, Buffer.of())), keys.publicKey), "the header is signed");
  const der = sign("sha384", signed, keys.privateKey);
  const byP256 = sign("sha384", signed, { key: p256.privateKey, dsaEncoding: "ieee-p1363" });
  t.notOk(isSignedEs384(read(message.with(3, der)), keys.publicKey), "DER in place of r and s");
  t.notOk(isSignedEs384(read(message.with(3, byP256)), p256.publicKey), "another curve");
  t.notOk(isSignedEs384(read(message.with(3, Buffer.alloc(96))), keys.publicKey), "CVE-2022-21449: r and s of zero");
  t.notOk(isSignedEs384(read(message.with(3, Buffer.concat([signature, Buffer.of(0)]))), keys.publicKey));
  t.notOk(isSignedEs384(read(message), generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey));
});
