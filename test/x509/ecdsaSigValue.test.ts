import { generateKeyPairSync, sign, verify } from "node:crypto";
import t from "tap";
import { ecdsaSigValue } from "../../src/x509/ecdsaSigValue.ts";

const octets = (length: number, last: number) => Buffer.concat([Buffer.alloc(length - 1), Buffer.of(last)]);

t.test("integers are minimal and positive (X.690 §8.3)", async (t) => {
  const cases = [
    [Buffer.concat([octets(32, 1), octets(32, 2)]), "3006020101020102"],
    [Buffer.concat([octets(32, 0x80), octets(32, 0x7f)]), "30070202008002017f"],
    [Buffer.alloc(64), "3006020100020100"],
    [Buffer.alloc(64, 0xff), `3046${`022100${"ff".repeat(32)}`.repeat(2)}`],
  ] as const;
  for (const [raw, der] of cases) t.equal(ecdsaSigValue(raw).toString("hex"), der);
  t.equal(ecdsaSigValue(Buffer.alloc(96, 0xff)).length, 104);
});

t.test("OpenSSL takes the result for every curve, whatever the leading octets", async (t) => {
  for (const [namedCurve, digest] of [
    ["P-256", "sha256"],
    ["P-384", "sha384"],
    ["P-521", "sha512"],
  ] as const) {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve });
    let refused = 0;
    for (let index = 0; index < 600; index += 1) {
      const message = Buffer.from(`message ${index}`);
      const raw = sign(digest, message, { key: privateKey, dsaEncoding: "ieee-p1363" });
      if (!verify(digest, message, publicKey, ecdsaSigValue(raw))) refused += 1;
    }
    t.equal(refused, 0, namedCurve);
  }
});

t.test("what cannot be two integers is refused", async (t) => {
  for (const length of [0, 63, 65, 134]) t.throws(() => ecdsaSigValue(Buffer.alloc(length)), RangeError);
});
