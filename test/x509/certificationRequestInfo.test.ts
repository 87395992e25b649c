// oxlint-disable-next-line import/no-unassigned-import -- @peculiar/x509 wants its side effect first
import "reflect-metadata";
import { generateKeyPairSync, sign, webcrypto } from "node:crypto";
import * as witness from "@peculiar/x509";
import t from "tap";
import {
  assembleCertificationRequest,
  encodeCertificationRequestInfo,
} from "../../src/x509/certificationRequestInfo.ts";
import { readCaRequest } from "../../src/x509/csr.ts";
import { encodeCsr } from "../../src/x509/csrWriter.ts";
import { basicConstraints, keyUsage, subjectAltName } from "../../src/x509/extensions.ts";
import { encodeName, nameText } from "../../src/x509/name.ts";
import { openssl, withFiles } from "./openssl.ts";

witness.cryptoProvider.set(webcrypto);

const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const spki = publicKey.export({ type: "spki", format: "der" });
const subject = encodeName({ organization: "Mayfly", commonName: "Issuing CA" });
const extensions = [
  basicConstraints({ cA: true, pathLenConstraint: 0 }),
  keyUsage(["keyCertSign", "cRLSign"]),
  subjectAltName({ dns: [], ip: [], uri: ["spiffe://mayfly.test"] }, false),
];
const signed = (info: Buffer): Buffer =>
  assembleCertificationRequest(info, "ecdsa-p256-sha256", sign("sha256", info, privateKey));

t.test("OpenSSL and @peculiar/x509 read what is written, and so do we", async (t) => {
  const der = signed(encodeCertificationRequestInfo({ subject, spki, extensions }));
  const text = openssl(["req", "-inform", "DER", "-noout", "-verify", "-text"], der).toString();
  t.match(text, /Subject: O ?= ?Mayfly, CN ?= ?Issuing CA/);
  t.match(text, /CA:TRUE, pathlen:0/);
  t.match(text, /URI:spiffe:\/\/mayfly\.test/);
  const seen = new witness.Pkcs10CertificateRequest(der);
  t.ok(await seen.verify());
  t.equal(seen.extensions.length, 3);
  const read = readCaRequest(der);
  t.same([read.subject, read.spki, read.extensions], [subject, spki, extensions]);
  const bare = readCaRequest(signed(encodeCertificationRequestInfo({ subject, spki, extensions: [] })));
  t.same(bare.extensions, []);
});

const wantedOfOther =
  "-addext basicConstraints=critical,CA:TRUE,pathlen:1 -addext keyUsage=critical,keyCertSign,cRLSign".split(" ");

t.test("what OpenSSL writes is read", async (t) => {
  const key = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey.export({ type: "pkcs8", format: "pem" });
  const der = withFiles([key.toString()], (file = "") =>
    openssl(["req", "-new", "-key", file, "-subj", "/C=DE/O=Other/CN=Other Root", "-outform", "DER", ...wantedOfOther]),
  );
  const { subject: name, extensions: wanted } = readCaRequest(der);
  t.equal(nameText(name), "C=DE, O=Other, CN=Other Root");
  t.same(wanted.map(({ oid }) => oid).sort(), ["2.5.29.15", "2.5.29.19"]);
});

t.test("what is no request of its key is refused, in a sentence", async (t) => {
  const info = encodeCertificationRequestInfo({ subject, spki, extensions });
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const forged = assembleCertificationRequest(info, "ecdsa-p256-sha256", sign("sha256", info, other));
  t.throws(() => readCaRequest(forged), { name: "CsrError", message: /does not verify with its own key/ });
  const der = signed(info);
  t.throws(() => readCaRequest(Buffer.concat([der, Buffer.from([0])])), { name: "CsrError" }, "an octet behind");
  t.throws(() => readCaRequest(der.subarray(1)), { name: "CsrError" });
  const wrongName = assembleCertificationRequest(info, "ed25519", sign("sha256", info, privateKey));
  t.throws(() => readCaRequest(wrongName), { name: "CsrError" }, "the algorithm of another kind of key");
  t.doesNotThrow(() => readCaRequest(encodeCsr({ key: privateKey, dns: ["a.test"], ip: [], uri: [] })));
  t.throws(() => encodeCertificationRequestInfo({ subject, spki, extensions: [...extensions, ...extensions] }), {
    name: "RangeError",
  });
});

t.test("names for people: in their order, with what could fool a reader escaped", async (t) => {
  t.equal(nameText(encodeName({})), "(empty)");
  t.equal(nameText(subject), "O=Mayfly, CN=Issuing CA");
  t.equal(
    nameText(encodeName({ commonName: "a, CN=b+c\\ \u202e\u2028x" })),
    "CN=a\\, CN\\=b\\+c\\\\ \\u{202e}\\u{2028}x",
  );
  const printable = Buffer.from("300d310b3009060355040a130241 42".replaceAll(" ", ""), "hex");
  t.equal(nameText(printable), "O=AB");
  const bmp = Buffer.from("300d310b3009060355040a1e020041", "hex");
  t.equal(nameText(bmp), "O=#1e020041");
  t.throws(() => nameText(Buffer.from("310130", "hex")), { name: "DerError" });
});
