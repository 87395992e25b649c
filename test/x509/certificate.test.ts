// oxlint-disable-next-line import/no-unassigned-import -- the witness needs its side effect
import "reflect-metadata";
import { createPublicKey, generateKeyPairSync, type KeyObject, sign, webcrypto, X509Certificate } from "node:crypto";
import * as witness from "@peculiar/x509";
import t from "tap";
import type { SignatureAlgorithm } from "../../src/keys/signer.ts";
import {
  assembleCertificate,
  encodeTbsCertificate,
  readCertificate,
  serialHex,
  type TbsCertificate,
} from "../../src/x509/certificate.ts";
import { readDer, tags } from "../../src/x509/der.ts";
import {
  bitString,
  constructed,
  der,
  type DerPart,
  encodeDer,
  sequence,
  smallInteger,
  time,
} from "../../src/x509/derWriter.ts";
import * as x from "../../src/x509/extensions.ts";
import { encodeName } from "../../src/x509/name.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import { algorithmIdentifier, verifySignature } from "../../src/x509/signatureAlgorithm.ts";
import { openssl, withFiles } from "./openssl.ts";
import { opensslCertificate } from "./vectors.ts";

witness.cryptoProvider.set(webcrypto);

const keys: readonly [SignatureAlgorithm, string | null, { publicKey: KeyObject; privateKey: KeyObject }][] = [
  ["ecdsa-p256-sha256", "sha256", generateKeyPairSync("ec", { namedCurve: "P-256" })],
  ["ecdsa-p384-sha384", "sha384", generateKeyPairSync("ec", { namedCurve: "P-384" })],
  ["rsa-pkcs1-sha256", "sha256", generateKeyPairSync("rsa", { modulusLength: 2048 })],
  ["ed25519", null, generateKeyPairSync("ed25519")],
];
const leafKey = generateKeyPairSync("ec", { namedCurve: "P-256" });
const spkiOf = (key: KeyObject): Buffer => key.export({ type: "spki", format: "der" });
const leafSpki = spkiOf(leafKey.publicKey);

const issuerName = encodeName({ organization: "Mayfly", commonName: "Mayfly Root CA" });
const names = { dns: ["a.example"], ip: ["192.0.2.7", "2001:db8::1"], uri: ["spiffe://td.example/ns/prod/sa/web"] };
const leaf: TbsCertificate = {
  serialNumber: Buffer.from("4f00112233445566778899aabbccddee", "hex"),
  signatureAlgorithm: "ecdsa-p256-sha256",
  issuer: issuerName,
  notBefore: new Date("2026-11-24T12:00:00Z"),
  notAfter: new Date("2026-11-24T12:15:00Z"),
  subject: encodeName({}),
  spki: leafSpki,
  extensions: [x.basicConstraints({ cA: false }), x.keyUsage(["digitalSignature"]), x.subjectAltName(names, true)],
};

/** A root and a leaf under it, signed with this algorithm. */
function chainOf([signatureAlgorithm, hash, { publicKey, privateKey }]: (typeof keys)[number]): {
  root: Buffer;
  leaf: Buffer;
} {
  const spki = spkiOf(publicKey);
  const issued = (t: TbsCertificate): Buffer => {
    const tbs = encodeTbsCertificate(t);
    return assembleCertificate(tbs, signatureAlgorithm, sign(hash, tbs, privateKey));
  };
  const authority = x.authorityKeyIdentifier(x.keyIdentifier(spki));
  const ca = [x.basicConstraints({ cA: true, pathLenConstraint: 0 }), x.keyUsage(["keyCertSign", "cRLSign"])];
  return {
    root: issued({
      ...leaf,
      signatureAlgorithm,
      serialNumber: Buffer.from([1]),
      subject: issuerName,
      notAfter: new Date("2051-01-01T00:00:00Z"),
      spki,
      extensions: [authority, x.subjectKeyIdentifier(spki), ...ca],
    }),
    leaf: issued({
      ...leaf,
      signatureAlgorithm,
      extensions: [
        authority,
        x.subjectKeyIdentifier(leafSpki),
        x.extendedKeyUsage(["serverAuth", "clientAuth"]),
        ...leaf.extensions,
      ],
    }),
  };
}

for (const key of keys) {
  const [algorithm, , { publicKey }] = key;
  const chain = chainOf(key);

  t.test(`${algorithm}: what is written is what is read`, (t) => {
    const read = readCertificate(chain.leaf);
    t.match(read, {
      serial: "4f00112233445566778899aabbccddee",
      signatureAlgorithm: algorithm,
      notBefore: leaf.notBefore,
    });
    t.strictSame(read.names, { permanentIdentifiers: [], ...names, other: [] });
    t.strictSame(read.notAfter, leaf.notAfter);
    t.ok(read.serialNumber.equals(leaf.serialNumber));
    t.ok(read.issuer.equals(issuerName) && read.subject.equals(leaf.subject) && read.spki.equals(leafSpki));
    t.ok(read.der.equals(chain.leaf));
    t.strictSame(read.extensions.slice(3), leaf.extensions);
    t.ok(verifySignature(algorithm, publicKey, read.tbs, read.signature));
    t.strictSame(readCertificate(chain.root).notAfter, new Date("2051-01-01T00:00:00Z"), "a GeneralizedTime");
    t.end();
  });

  t.test(`${algorithm}: Node reads it alike`, (t) => {
    const seen = new X509Certificate(chain.leaf);
    t.equal(seen.serialNumber.toLowerCase(), "4f00112233445566778899aabbccddee");
    t.equal(
      seen.subjectAltName,
      `DNS:a.example, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:1, URI:${names.uri[0]}`,
    );
    t.strictSame([seen.validFromDate, seen.validToDate], [leaf.notBefore, leaf.notAfter]);
    t.ok(seen.publicKey.equals(leafKey.publicKey));
    t.ok(seen.verify(publicKey));
    t.ok(seen.checkIssued(new X509Certificate(chain.root)));
    t.notOk(seen.ca);
    t.ok(new X509Certificate(chain.root).ca);
    t.end();
  });

  t.test(`${algorithm}: @peculiar/x509 reads it alike`, async (t) => {
    const seen = new witness.X509Certificate(chain.leaf);
    t.equal(seen.serialNumber, "4f00112233445566778899aabbccddee");
    t.equal(seen.subject, "");
    t.equal(seen.issuer, "O=Mayfly, CN=Mayfly Root CA");
    t.strictSame([seen.notBefore, seen.notAfter], [leaf.notBefore, leaf.notAfter]);
    t.ok(await seen.verify({ publicKey: new witness.X509Certificate(chain.root).publicKey, signatureOnly: true }));
    t.ok(Buffer.from(seen.rawData).equals(chain.leaf));
  });

  t.test(`${algorithm}: openssl verifies the chain in strict mode`, (t) => {
    const pems = [pemEncode("CERTIFICATE", chain.root), pemEncode("CERTIFICATE", chain.leaf)];
    const at = String(leaf.notBefore.getTime() / 1000 + 60);
    const verified = withFiles(pems, (root = "", path = "") =>
      openssl(["verify", "-x509_strict", "-attime", at, "-purpose", "sslserver", "-CAfile", root, path]),
    );
    t.match(verified.toString(), /: OK\n$/);
    const text = openssl(["x509", "-inform", "der", "-noout", "-text"], chain.leaf).toString();
    t.match(text, /Version: 3 \(0x2\)/);
    t.match(text, /Not Before: Nov 24 12:00:00 2026 GMT/);
    t.match(text, /X509v3 Key Usage: critical\n +Digital Signature\n/);
    t.match(text, /X509v3 Subject Alternative Name: critical\n +DNS:a\.example, IP Address:192\.0\.2\.7/);
    t.match(text, /CA:FALSE/);
    t.end();
  });
}

t.test("certificates of the witnesses are read", async (t) => {
  const ofOpenssl = readCertificate(opensslCertificate);
  t.match(ofOpenssl, { serial: "4f00112233445566778899aabbccddee", signatureAlgorithm: "ecdsa-p256-sha256" });
  t.strictSame(ofOpenssl.names, {
    dns: ["a.example"],
    ip: ["192.0.2.7"],
    uri: names.uri,
    permanentIdentifiers: [],
    other: [],
  });
  const key = createPublicKey({ key: ofOpenssl.spki, format: "der", type: "spki" });
  t.ok(verifySignature("ecdsa-p256-sha256", key, ofOpenssl.tbs, ofOpenssl.signature));

  const signingAlgorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const made = await witness.X509CertificateGenerator.createSelfSigned({
    serialNumber: "ff01",
    name: "CN=witness",
    notBefore: leaf.notBefore,
    notAfter: new Date("2050-01-01T00:00:00Z"),
    signingAlgorithm,
    keys: await webcrypto.subtle.generateKey(signingAlgorithm, true, ["sign", "verify"]),
    extensions: [new witness.BasicConstraintsExtension(true, 2, true)],
  });
  const read = readCertificate(new Uint8Array(made.rawData));
  t.strictSame(read.notAfter, new Date("2050-01-01T00:00:00Z"));
  t.strictSame(read.names, { dns: [], ip: [], uri: [], permanentIdentifiers: [], other: [] });
  t.strictSame(x.readBasicConstraints(read.extensions[0]?.value ?? Buffer.alloc(0)), {
    cA: true,
    pathLenConstraint: 2,
  });
  t.equal(read.serial, serialHex(read.serialNumber));

  const pss = openssl(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
  const other = withFiles([pss], (path = "") =>
    openssl([
      "req",
      "-x509",
      "-new",
      "-key",
      path,
      "-subj",
      "/CN=a",
      "-sigopt",
      "rsa_padding_mode:pss",
      "-outform",
      "der",
    ]),
  );
  t.equal(readCertificate(other).signatureAlgorithm, undefined, "an algorithm that is not ours");
});

const tbsWithSerial = (serial: string) => encodeTbsCertificate({ ...leaf, serialNumber: Buffer.from(serial, "hex") });

t.test("serial numbers keep their bounds", (t) => {
  for (const serial of ["01", "7f", "0080", "7f".repeat(20), `00${"ff".repeat(19)}`])
    t.ok(tbsWithSerial(serial), serial);
  for (const serial of ["", "00", "80", "ff", "0000", "0001", "007f", "7f".repeat(21), `00${"ff".repeat(20)}`]) {
    t.throws(() => tbsWithSerial(serial), { name: "RangeError", message: /serial number/ }, serial);
  }
  t.equal(serialHex(Buffer.from("00ff01", "hex")), "ff01", "the sign octet is left out, as Node does");
  const node = new X509Certificate(
    assembleCertificate(tbsWithSerial("00ff01"), "ecdsa-p256-sha256", Buffer.from("3000", "hex")),
  );
  t.equal(node.serialNumber, "FF01");
  t.equal(serialHex(Buffer.from("01", "hex")), "01");
  t.equal(serialHex(Buffer.from("0abc", "hex")), "0abc");
  t.end();
});

t.test("times, extensions and parts keep their bounds", (t) => {
  const refused: readonly [string, Partial<TbsCertificate>][] = [
    ["a fraction of a second", { notBefore: new Date("2026-11-24T12:00:00.500Z") }],
    ["no date", { notAfter: new Date(Number.NaN) }],
    ["a year beyond 9999", { notAfter: new Date("+010000-01-01T00:00:00Z") }],
    ["a year before 1950", { notBefore: new Date("1949-12-31T23:59:59Z") }],
    ["an end before the beginning", { notAfter: new Date("2026-11-24T11:59:59Z") }],
    ["an extension twice", { extensions: [...leaf.extensions, x.basicConstraints({ cA: false })] }],
  ];
  for (const [name, part] of refused) {
    t.throws(() => encodeTbsCertificate({ ...leaf, ...part }), { name: "RangeError" }, name);
  }
  for (const part of ["issuer", "subject", "spki"]) {
    for (const bytes of ["", "30", "300200", "30000000", "3100"]) {
      t.throws(
        () => encodeTbsCertificate({ ...leaf, [part]: Buffer.from(bytes, "hex") }),
        { name: "DerError" },
        `${part} ${bytes}`,
      );
    }
  }
  t.end();
});

const typesOf = (notBefore: string, notAfter: string): number[] => {
  const tbs = encodeTbsCertificate({ ...leaf, notBefore: new Date(notBefore), notAfter: new Date(notAfter) });
  return (readDer(tbs).children[4]?.children ?? []).map(({ tag }) => tag);
};

t.test("times change their type with 2050", (t) => {
  t.strictSame(typesOf("2049-12-31T23:59:58Z", "2049-12-31T23:59:59Z"), [tags.utcTime, tags.utcTime]);
  t.strictSame(typesOf("2049-12-31T23:59:59Z", "2050-01-01T00:00:00Z"), [tags.utcTime, tags.generalizedTime]);
  t.end();
});

t.test("malformed certificates are refused", (t) => {
  const algorithm = algorithmIdentifier("ed25519");
  const validity = sequence(time(leaf.notBefore), time(leaf.notAfter));
  const v3 = constructed(0, smallInteger(2));
  const serial = smallInteger(1);
  const empty = sequence();
  const plain: readonly DerPart[] = [v3, serial, algorithm, empty, validity, empty, leafSpki];
  const whole = (parts: readonly DerPart[], ...behind: DerPart[]): Buffer =>
    encodeDer(sequence(sequence(...parts), algorithm, bitString(Buffer.alloc(64)), ...behind));
  const changed = (i: number, part: DerPart): Buffer => whole(plain.with(i, part));
  t.strictSame(readCertificate(whole(plain)).extensions, [], "unharmed, without extensions");

  const earlyGeneralized = der(tags.generalizedTime, Buffer.from("20260101000000Z"));
  const refused: readonly [string, Buffer, RegExp][] = [
    ["version 1", whole(plain.slice(1)), /version 3/],
    ["version 1, written out", changed(0, constructed(0, smallInteger(0))), /version 3/],
    ["version 2", changed(0, constructed(0, smallInteger(1))), /version 3/],
    ["two versions", changed(0, constructed(0, smallInteger(2), smallInteger(2))), /version 3/],
    ["serial number 0", changed(1, smallInteger(0)), /serial number is not positive/],
    ["a negative serial number", changed(1, der(tags.integer, Buffer.from([0xff]))), /serial number is not positive/],
    ["a serial number of 21 octets", changed(1, der(tags.integer, Buffer.alloc(21, 1))), /20 octets/],
    ["different algorithms", changed(2, algorithmIdentifier("ecdsa-p256-sha256")), /differ/],
    ["a GeneralizedTime before 2050", changed(4, sequence(earlyGeneralized, time(leaf.notAfter))), /before 2050/],
    [
      "three times",
      changed(4, sequence(time(leaf.notBefore), time(leaf.notAfter), time(leaf.notAfter))),
      /two members/,
    ],
    ["a name that is no SEQUENCE", changed(3, der(tags.set)), /issuer is not/],
    ["a key that is no SEQUENCE", changed(6, der(tags.null)), /public key is not/],
    ["a unique identifier", whole([...plain, der(0x81, Buffer.from([0, 1]))]), /not read/],
    ["an empty extensions field", whole([...plain, constructed(3)]), /not one list/],
    ["an empty list of extensions", whole([...plain, constructed(3, sequence())]), /is empty/],
    ["two lists", whole([...plain, constructed(3, sequence(), sequence())]), /not one list/],
    ["a ninth member", whole([...plain, constructed(3, sequence()), der(tags.null)]), /not read/],
    ["too few members", whole(plain.slice(0, 6)), /public key is missing/],
    ["a fourth member", whole(plain, der(tags.null)), /three members/],
    ["trailing bytes", Buffer.concat([opensslCertificate, Buffer.alloc(1)]), /follow the end/],
    ["two certificates", Buffer.concat([opensslCertificate, opensslCertificate]), /follow the end/],
    ["a long length", Buffer.concat([Buffer.from([0x30, 0x83, 0]), opensslCertificate.subarray(2)]), /shortest/],
    ["nothing", Buffer.alloc(0), /cut short/],
  ];
  for (const [name, bytes, message] of refused) {
    t.throws(() => readCertificate(bytes), { name: "CertificateError", message }, name);
  }
  t.end();
});

t.test("the result does not change with its input", (t) => {
  const input = Buffer.from(opensslCertificate);
  const read = readCertificate(input);
  input.fill(0);
  t.ok(read.der.equals(opensslCertificate));
  t.end();
});
