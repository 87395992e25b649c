import { generateKeyPairSync } from "node:crypto";
import t from "tap";
import { encodeTbsCertificate } from "../../src/x509/certificate.ts";
import { der, encodeDer, sequence } from "../../src/x509/derWriter.ts";
import { basicConstraints, subjectKeyIdentifier } from "../../src/x509/extensions.ts";
import { encodeName } from "../../src/x509/name.ts";
import { oids } from "../../src/x509/oid.ts";
import { keyOf } from "../../src/x509/publicKey.ts";
import { readTbs } from "../../src/x509/tbsReading.ts";
import { craftTbs, generalized, partsOf } from "../support/craftedTbs.ts";

const at = new Date("2026-01-01T00:00:00Z");
const keys = {
  ec: keyOf(generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey),
  rsa: keyOf(generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey),
  ed: keyOf(generateKeyPairSync("ed25519").publicKey),
};
const made = (spki: Buffer): Buffer =>
  encodeTbsCertificate({
    serialNumber: Buffer.of(1, 2),
    signatureAlgorithm: "ed25519",
    issuer: encodeName({ commonName: "CA" }),
    notBefore: at,
    notAfter: new Date("2050-01-01T00:00:00Z"),
    subject: encodeName({}),
    spki,
    extensions: [basicConstraints({ cA: false }), subjectKeyIdentifier(spki)],
  });

t.test("what is written is read", async (t) => {
  t.match(readTbs(made(keys.ec.spki)), {
    version: 2,
    serialNumber: Buffer.of(1, 2),
    issuer: encodeName({ commonName: "CA" }),
    notBefore: { date: at, generalized: false },
    notAfter: { date: new Date("2050-01-01T00:00:00Z"), generalized: true },
    subject: encodeName({}),
    spki: keys.ec.spki,
    key: { algorithm: oids.ecPublicKey, curve: oids.secp384r1, pointForm: 4 },
    uniqueIdentifiers: false,
    extensions: [
      { oid: oids.basicConstraints, critical: true },
      { oid: oids.subjectKeyIdentifier, critical: false },
    ],
  });
  const { modulus, exponent } = readTbs(made(keys.rsa.spki)).key;
  t.same([modulus?.length, exponent?.toString("hex")], [257, "010001"]);
  t.match(readTbs(made(keys.ed.spki)).key, { algorithm: oids.ed25519, curve: undefined, modulus: undefined });
});

t.test("and so is what no certificate should say", async (t) => {
  const parts = partsOf(made(keys.ec.spki));
  const [first] = parts.extensions;
  const crafted = craftTbs({
    ...parts,
    version: undefined,
    serialNumber: Buffer.of(0x80),
    notAfter: generalized(at),
    uniqueIdentifiers: [der(0x81, Buffer.of(0, 1))],
    extensions: first === undefined ? [] : [first, first],
  });
  t.match(readTbs(crafted), {
    version: undefined,
    serialNumber: Buffer.of(0x80),
    notAfter: { date: at, generalized: true },
    uniqueIdentifiers: true,
    extensions: [first, first],
  });
  t.same(readTbs(craftTbs({ ...parts, extensions: [] })).extensions, []);
});

t.test("but not what is no TBSCertificate", async (t) => {
  const parts = partsOf(made(keys.ec.spki));
  const good = craftTbs(parts);
  const refused: Record<string, Buffer> = {
    nothing: Buffer.alloc(0),
    "trailing bytes": Buffer.concat([good, Buffer.of(0)]),
    "no members": Buffer.of(0x30, 0),
    "a member too many": craftTbs({ ...parts, uniqueIdentifiers: [der(0x83, Buffer.of(0, 1))] }),
    "a validity of one time": craftTbs({ ...parts, notBefore: Buffer.alloc(0) }),
    "a validity of three times": craftTbs({
      ...parts,
      notBefore: Buffer.concat([encodeDer(generalized(at) as never), encodeDer(generalized(at) as never)]),
    }),
    "a criticality that is the default": Buffer.from(
      craftTbs({ ...parts, extensions: [basicConstraints({ cA: false })] })
        .toString("hex")
        .replace("0101ff", "010100"),
      "hex",
    ),
    "a key without bits": craftTbs({ ...parts, spki: encodeDer(sequence(sequence())) }),
  };
  for (const [name, bytes] of Object.entries(refused)) t.throws(() => readTbs(bytes), { name: "DerError" }, name);
});
