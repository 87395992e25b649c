import { generateKeyPairSync, sign } from "node:crypto";
import t from "tap";
import { assembleCertificate, encodeTbsCertificate } from "../../src/x509/certificate.ts";
import { encodeName } from "../../src/x509/name.ts";
import { nameConstraints, readNameConstraints } from "../../src/x509/nameConstraints.ts";
import { openssl } from "./openssl.ts";

const full = {
  uri: ["mayfly.test", ".mayfly.test"],
  dns: ["example.org"],
  ip: ["10.0.0.0/8", "192.0.2.1/32", "172.16.0.0/12", "0.0.0.0/0", "2001:db8::/32"],
};

t.test("what is written is read, by ours and by OpenSSL (RFC 5280 §4.2.1.10)", async (t) => {
  const extension = nameConstraints(full);
  t.match(extension, { oid: "2.5.29.30", critical: true });
  t.strictSame(readNameConstraints(extension.value), full);

  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const name = encodeName({ commonName: "CA" });
  const tbs = encodeTbsCertificate({
    serialNumber: Buffer.from([1]),
    signatureAlgorithm: "ed25519",
    issuer: name,
    notBefore: new Date("2026-01-01T00:00:00Z"),
    notAfter: new Date("2027-01-01T00:00:00Z"),
    subject: name,
    spki: publicKey.export({ type: "spki", format: "der" }),
    extensions: [extension],
  });
  const certificate = assembleCertificate(tbs, "ed25519", sign(null, tbs, privateKey));
  const text = openssl(["x509", "-inform", "DER", "-noout", "-ext", "nameConstraints"], certificate).toString();
  t.same(
    text.split("\n").map((line) => line.trim()),
    [
      "X509v3 Name Constraints: critical",
      "Permitted:",
      "URI:mayfly.test",
      "URI:.mayfly.test",
      "DNS:example.org",
      "IP:10.0.0.0/255.0.0.0",
      "IP:192.0.2.1/255.255.255.255",
      "IP:172.16.0.0/255.240.0.0",
      "IP:0.0.0.0/0.0.0.0",
      "IP:2001:DB8:0:0:0:0:0:0/FFFF:FFFF:0:0:0:0:0:0",
      "",
    ],
  );
});

t.test("networks, octet for octet", async (t) => {
  const octets = (ip: string): string =>
    nameConstraints({ uri: [], dns: [], ip: [ip] })
      .value.subarray(8)
      .toString("hex");
  t.equal(octets("172.16.0.0/12"), "ac100000fff00000");
  t.equal(octets("192.0.2.128/25"), "c0000280ffffff80");
  t.equal(octets("192.0.2.1/32"), "c0000201ffffffff");
});

t.test("what no CA may write is refused", async (t) => {
  const none = { uri: [], dns: [], ip: [] };
  t.throws(() => nameConstraints(none), { name: "RangeError" });
  for (const ip of [
    "10.0.0.0",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "10.0.0.1/8",
    "a/8",
    "2001:db8::/129",
    "10.0.0.0/-1",
  ])
    t.throws(() => nameConstraints({ ...none, ip: [ip] }), { name: "NameError" }, ip);
});

t.test("what is not read is an error", async (t) => {
  for (const [what, hex] of [
    ["an empty sequence", "3000"],
    ["empty permitted subtrees", "3002a000"],
    ["excluded subtrees", "3007a1053003820161"],
    ["both", "300ea0053003820161a1053003820161"],
    ["a minimum", "300aa0083006820161800101"],
    ["a directory name", "3008a0063004a4023000"],
    ["a network of five octets", "300ba009300787050a000000ff"],
    ["a mask with a hole", "300ea00c300a87080a000000ff00ff00"],
    ["an address beyond its mask", "300ea00c300a87080a000001ff000000"],
    ["octets behind", "3007a00530038201610500"],
  ] as const)
    t.throws(() => readNameConstraints(Buffer.from(hex, "hex")), { name: "DerError" }, what);
});
