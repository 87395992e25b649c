// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 wants its side effect first
import "reflect-metadata";
import { createPublicKey, generateKeyPairSync, type KeyObject, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import t from "tap";
import { encodeCsr } from "../../src/x509/csrWriter.ts";
import { readDer } from "../../src/x509/der.ts";

x509.cryptoProvider.set(webcrypto);

const keys: [string, KeyObject][] = [
  ["ECDSA P-256", generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey],
  ["ECDSA P-384", generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey],
  ["Ed25519", generateKeyPairSync("ed25519").privateKey],
  ["RSA", generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey],
];

for (const [kind, key] of keys) {
  t.test(`${kind}: an independent reader finds key, names and a good signature`, async (t) => {
    const der = encodeCsr({
      key,
      uri: ["spiffe://example.org/a"],
      dns: ["a.example", "b.example"],
      ip: ["192.0.2.7", "2001:db8::1"],
    });
    t.doesNotThrow(() => readDer(der), "strict DER without trailing bytes");
    const csr = new x509.Pkcs10CertificateRequest(der);
    t.ok(await csr.verify());
    t.equal(csr.subject, "");
    const spki = createPublicKey(key).export({ type: "spki", format: "der" });
    t.ok(spki.equals(Buffer.from(csr.publicKey.rawData)));
    t.equal(csr.extensions.length, 1);
    const [extension] = csr.extensions;
    t.strictSame(extension instanceof x509.SubjectAlternativeNameExtension ? extension.names.toJSON() : undefined, [
      { type: "url", value: "spiffe://example.org/a" },
      { type: "dns", value: "a.example" },
      { type: "dns", value: "b.example" },
      { type: "ip", value: "192.0.2.7" },
      { type: "ip", value: "2001:db8::1" },
    ]);
  });
}

t.test("no names: no attribute", async (t) => {
  const [[, key] = []] = keys;
  if (key === undefined) throw new Error("the table of keys is empty");
  const csr = new x509.Pkcs10CertificateRequest(encodeCsr({ key, uri: [], dns: [], ip: [] }));
  t.ok(await csr.verify());
  t.equal(csr.attributes.length, 0);
});

t.test("keys of other kinds, and addresses out of form", async (t) => {
  const none = { uri: [], dns: [], ip: [] };
  for (const key of [
    generateKeyPairSync("x25519").privateKey,
    generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey,
  ]) {
    t.throws(() => encodeCsr({ key, ...none }), TypeError);
  }
  const { privateKey } = generateKeyPairSync("ed25519");
  t.throws(() => encodeCsr({ key: privateKey, ...none, ip: ["2001:DB8::1"] }), { name: "NameError" });
});
