import { createPublicKey } from "node:crypto";
import t, { type Test } from "tap";
import { cutPcrValues, pcrDigest, readAttest } from "../../../src/attestation/tpm/attest.ts";
import { nameOf, publicKeyOf, readPublicArea } from "../../../src/attestation/tpm/publicArea.ts";
import { TpmStructureError } from "../../../src/attestation/tpm/reader.ts";
import { readTpmSignature, verifyTpmSignature } from "../../../src/attestation/tpm/signature.ts";
import {
  alg,
  attributes,
  certify,
  digestOf,
  quote,
  signed,
  softwareKey,
  tpm2b,
  u16,
  u32,
  u8,
  type HashName,
  type KeyKind,
} from "./softwareTpm.ts";

const extraData = Buffer.alloc(32, 0xb5);
const register = (n: number, length = 32): Buffer => Buffer.alloc(length, n);
const sha256Bank = { hash: "sha256", registers: { 0: register(1), 7: register(2), 23: register(3) } } as const;
const keys = { rsa: softwareKey("rsa"), "P-256": softwareKey("P-256"), "P-384": softwareKey("P-384") };
const kinds: readonly KeyKind[] = ["rsa", "P-256", "P-384"];

const refused = (t: Test, read: () => unknown, message: RegExp, what: string): void => {
  t.throws(read, { name: TpmStructureError.name, message }, what);
};

t.test("a quote is read as it was written", async (t) => {
  const banks = [sha256Bank, { hash: "sha384", registers: { 1: register(4, 48) } } as const];
  const { attest, pcrs } = quote({ extraData, banks, safe: 0 });
  const read = readAttest(attest);
  if (read.type !== "quote") return t.fail(read.type);
  t.same(read.selections, [
    { bank: "sha256", registers: [0, 7, 23] },
    { bank: "sha384", registers: [1] },
  ]);
  t.same(
    [read.extraData, read.clock, read.resetCount, read.restartCount, read.safe, read.firmwareVersion],
    [extraData, 123_456n, 11, 3, false, 0x20191023_00163636n],
  );
  const values = cutPcrValues(read.selections, pcrs);
  t.same(
    values.map(({ bank, register: n }) => `${bank} ${n}`),
    ["sha256 0", "sha256 7", "sha256 23", "sha384 1"],
  );
  t.same(pcrDigest(values, "sha256"), read.digest, "and its digest is that of the values in this order");
  t.notSame(pcrDigest(values.toReversed(), "sha256"), read.digest);
});

t.test("a certify is read as it was written", async (t) => {
  const read = readAttest(certify({ extraData, name: keys.rsa.name }));
  t.match(read, { type: "certify", name: keys.rsa.name, extraData, safe: true });
});

for (const kind of kinds) {
  t.test(`a public area of ${kind} has the name and the key that its TPM knows it by`, async (t) => {
    const { publicArea, name, publicKey } = keys[kind];
    const area = readPublicArea(publicArea);
    t.same(nameOf(area), name);
    t.ok(publicKeyOf(area).key.equals(publicKey));
    t.same(publicKeyOf(area).spki, publicKey.export({ type: "spki", format: "der" }));
    t.same([...area.attributes].sort(), [
      "fixedParent",
      "fixedTPM",
      "restricted",
      "sensitiveDataOrigin",
      "sign",
      "userWithAuth",
    ]);
  });

  t.test(`a signature of ${kind} verifies, and over nothing else and by nobody else`, async (t) => {
    const { attest } = quote({ extraData, banks: [sha256Bank] });
    for (const hash of ["sha1", "sha256", "sha384"] satisfies HashName[]) {
      const signature = readTpmSignature(signed(keys[kind], attest, { hash }));
      t.equal(signature.hash, hash);
      t.ok(verifyTpmSignature(signature, keys[kind].publicKey, attest));
      for (const other of kinds.filter((one) => one !== kind)) {
        t.notOk(verifyTpmSignature(signature, keys[other].publicKey, attest), `${other} has not signed it`);
      }
      const bent = Buffer.from(attest);
      bent[20] = (bent[20] ?? 0) ^ 1;
      t.notOk(verifyTpmSignature(signature, keys[kind].publicKey, bent));
    }
  });
}

t.test("RSAPSS verifies with a salt as long as the hash and with one as long as fits", async (t) => {
  const { attest } = quote({ extraData, banks: [sha256Bank] });
  for (const pss of ["digest", "longest"] as const) {
    const signature = readTpmSignature(signed(keys.rsa, attest, { pss }));
    t.match(signature, { scheme: "rsapss", hash: "sha256" });
    t.ok(verifyTpmSignature(signature, keys.rsa.publicKey, attest), pss);
  }
});

t.test("the scheme of a key is told where it names one", async (t) => {
  const scheme = Buffer.concat([u16(alg.ecdsa), u16(alg.sha256)]);
  const { publicArea } = softwareKey("P-256", attributes.ak, { scheme });
  t.same(readPublicArea(publicArea).scheme, { algorithm: "ecdsa", hash: "sha256" });
  t.equal(readPublicArea(keys["P-256"].publicArea).scheme, undefined);
});

t.test("no structure may end early or go on", async (t) => {
  const { attest } = quote({ extraData, banks: [sha256Bank] });
  const structures = [
    [readAttest, attest],
    [readAttest, certify({ extraData, name: keys.rsa.name })],
    [readTpmSignature, signed(keys.rsa, attest)],
    [readTpmSignature, signed(keys["P-256"], attest)],
    [readPublicArea, keys.rsa.publicArea],
    [readPublicArea, keys["P-384"].publicArea],
  ] as const;
  for (const [read, bytes] of structures) {
    refused(t, () => read(Buffer.concat([bytes, u8(0)])), /^Bytes follow the end of/, "one byte more");
    for (let length = 0; length < bytes.length; length += 1) {
      t.throws(() => read(bytes.subarray(0, length)), { name: TpmStructureError.name }, `${length} bytes of it`);
    }
  }
});

t.test("an attestation that no TPM makes is refused", async (t) => {
  const banks = [sha256Bank];
  const cases: [Buffer, RegExp][] = [
    [quote({ extraData, banks, magic: 0xff544346 }).attest, /not made by a TPM/],
    [quote({ extraData, banks, type: 0x8016 }).attest, /neither a quote nor a certify/],
    [quote({ extraData, banks, type: 0x8017 }).attest, /./],
    [quote({ extraData, banks, safe: 2 }).attest, /neither 0 nor 1/],
    [quote({ extraData: Buffer.alloc(67), banks }).attest, /extra data has more than 66 bytes/],
    [quote({ extraData, banks, digest: Buffer.alloc(31) }).attest, /length of no hash/],
    [quote({ extraData, banks: [sha256Bank, sha256Bank] }).attest, /bank is there twice/],
    [certify({ extraData, name: Buffer.alloc(0) }), /not that of a key/],
    [certify({ extraData, name: u32(0x4000_0007) }), /hash of the name/],
    [certify({ extraData, name: keys.rsa.name.subarray(0, 33) }), /wrong length/],
  ];
  for (const [bytes, message] of cases) refused(t, () => readAttest(bytes), message, String(message));
});

t.test("a selection is of few banks and of registers that there are", async (t) => {
  const { attest } = quote({ extraData, banks: [sha256Bank] });
  const selectionAt = attest.length - (2 + 32) - (4 + 2 + 1 + 3);
  const withSelections = (...selections: Buffer[]): Buffer =>
    Buffer.concat([attest.subarray(0, selectionAt), ...selections, tpm2b(Buffer.alloc(32))]);
  refused(t, () => readAttest(withSelections(u32(17))), /more than 16 banks/, "17 banks");
  refused(t, () => readAttest(withSelections(u32(0xffff_ffff))), /more than 16 banks/, "4 thousand million");
  for (const size of [0, 2, 5]) {
    const selection = [u32(1), u16(alg.sha256), u8(size), Buffer.alloc(size)];
    refused(t, () => readAttest(withSelections(...selection)), /24 to 32 registers/, `${size} bytes`);
  }
  const unknown = [u32(1), u16(0x0012), u8(3), Buffer.alloc(3)];
  refused(t, () => readAttest(withSelections(...unknown)), /hash of a PCR bank/, "SM3");
});

t.test("PCR values are exactly the selected ones", async (t) => {
  const selections = [{ bank: "sha256", registers: [0, 1] }] as const;
  refused(t, () => cutPcrValues(selections, Buffer.alloc(63)), /cut short/, "one byte less");
  refused(t, () => cutPcrValues(selections, Buffer.alloc(65)), /Bytes follow/, "one byte more");
  refused(t, () => cutPcrValues([], Buffer.alloc(1)), /Bytes follow/, "none selected");
});

t.test("a public area of another kind or size is refused", async (t) => {
  const area = keys.rsa.publicArea;
  const changed = (at: number, bytes: Buffer, from = area): Buffer =>
    Buffer.concat([from.subarray(0, at), bytes, from.subarray(at + bytes.length)]);
  const ecc = keys["P-256"].publicArea;
  const cases: [string, Buffer, RegExp][] = [
    ["a keyed hash", changed(0, u16(0x0008)), /neither RSA nor ECC/],
    ["an unknown name hash", changed(2, u16(0x0012)), /hash of the public area's name/],
    ["reserved attributes", changed(4, u32(0x8005_0072)), /reserved/],
    ["bit 0", changed(4, u32(0x0005_0073)), /reserved/],
    ["another cipher than AES", changed(10, u16(0x0026)), /not AES/],
    ["another scheme", changed(12, u16(0x001a)), /scheme/],
    ["RSA of 1024 bits", changed(14, u16(1024)), /2048, 3072 or 4096/],
    ["RSA that says 4096", changed(14, u16(4096)), /size that the public area says/],
    ["an exponent of 3", changed(16, u32(3)), /65537/],
    ["a modulus with a leading zero", changed(22, u8(0)), /size that the public area says/],
    ["P-521", changed(14, u16(5), ecc), /neither P-256 nor P-384/],
    ["a key derivation of no kind", changed(16, u16(0x0099), ecc), /key derivation/],
    ["a coordinate of 33 bytes", changed(18, u16(33), ecc), /more than 32 bytes/],
  ];
  for (const [what, bytes, message] of cases) refused(t, () => readPublicArea(bytes), message, what);
});

t.test("an exponent that is written out is the default one", async (t) => {
  const area = Buffer.from(keys.rsa.publicArea);
  area.writeUInt32BE(65_537, 16);
  t.ok(publicKeyOf(readPublicArea(area)).key.equals(keys.rsa.publicKey));
  t.notSame(nameOf(readPublicArea(area)), keys.rsa.name, "but it is another name");
});

t.test("a point that is not on its curve is no key", async (t) => {
  const area = Buffer.from(keys["P-256"].publicArea);
  area.writeUInt8((area.at(-1) ?? 0) ^ 1, area.length - 1);
  t.throws(() => publicKeyOf(readPublicArea(area)), { name: "KeyRefused" });
});

t.test("a signature of another kind is refused", async (t) => {
  const { attest } = quote({ extraData, banks: [sha256Bank] });
  const signature = signed(keys.rsa, attest);
  const scheme = (bytes: Buffer): Buffer => Buffer.concat([bytes, signature.subarray(bytes.length)]);
  refused(t, () => readTpmSignature(scheme(u16(0x0005))), /not RSASSA, RSAPSS or ECDSA/, "HMAC");
  refused(t, () => readTpmSignature(scheme(Buffer.concat([u16(alg.rsassa), u16(0x0012)]))), /hash/, "SM3");
  const large = Buffer.concat([u16(alg.rsassa), u16(alg.sha256), tpm2b(Buffer.alloc(513))]);
  refused(t, () => readTpmSignature(large), /more than 512 bytes/, "513 bytes");
});

t.test("an ECDSA signature as short as zero or longer than its curve does not verify", async (t) => {
  const attest = certify({ extraData, name: keys.rsa.name });
  const crafted = (r: Buffer, s: Buffer): Buffer =>
    Buffer.concat([u16(alg.ecdsa), u16(alg.sha256), tpm2b(r), tpm2b(s)]);
  const { publicKey } = keys["P-256"];
  for (const [r, s] of [
    [0, 0],
    [1, 32],
    [48, 48],
  ]) {
    const bytes = crafted(Buffer.alloc(r ?? 0), Buffer.alloc(s ?? 0));
    t.notOk(verifyTpmSignature(readTpmSignature(bytes), publicKey, attest), `${r} and ${s} bytes`);
  }
});

t.test("a name hash counts in the name", async (t) => {
  const { publicArea, name } = softwareKey("P-256", attributes.ak, { nameHash: "sha384" });
  t.same(nameOf(readPublicArea(publicArea)), name);
  t.same(name.subarray(0, 2), u16(alg.sha384));
  t.same(name.subarray(2), digestOf("sha384", publicArea));
  t.ok(createPublicKey({ key: publicKeyOf(readPublicArea(publicArea)).spki, format: "der", type: "spki" }));
});
