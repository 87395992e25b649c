/** Lists that we write, read by OpenSSL, @peculiar/x509 and our own reader, and held against RFC 5280 §5. */
import { createPublicKey, sign, verify } from "node:crypto";

// oxlint-disable-next-line import/no-unassigned-import -- the witness needs its side effect
import "reflect-metadata";
import * as witness from "@peculiar/x509";
import t from "tap";
import { readCertificateList, readDistributedList } from "../../src/x509/certificateList.ts";
import {
  certificateListNumber,
  issuingDistributionPoint,
  readIssuingDistributionPoint,
} from "../../src/x509/certificateListExtensions.ts";
import {
  assembleCertificateList,
  createRevokedEntries,
  encodeTbsCertificateList,
  type RevokedEntries,
} from "../../src/x509/certificateListWriter.ts";
import { scanCertificateList, scanTbsCertificateList } from "../../src/x509/certificateListScan.ts";
import { DerError, readDer } from "../../src/x509/der.ts";
import { constructed, encodeDer, primitive, sequence } from "../../src/x509/derWriter.ts";
import { keyIdentifier } from "../../src/x509/extensions.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import { issue, type Issued } from "../support/platformCertificates.ts";
import { openssl, withFiles } from "./openssl.ts";

const ca = issue({ commonName: "ca", dns: ["ca.test"] });
const url = "http://crl.test/crl/0193a9c0-0000-7000-8000-000000000000/3.crl";
const start = new Date("2026-11-26T12:00:00Z");
const second = start.getTime() / 1000;

interface Revoked {
  readonly serial: string;
  readonly at: number;
  readonly reason?: number;
}

function entriesOf(revoked: readonly Revoked[]): RevokedEntries {
  const entries = createRevokedEntries();
  for (const { serial, at, reason } of revoked) {
    const octets = Buffer.from(`ff${serial}ff`, "hex");
    entries.add(octets, 1, octets.length - 1, at, reason);
  }
  return entries;
}

function listOf(revoked: readonly Revoked[], changes: { number?: number; issuer?: Issued; url?: string } = {}): Buffer {
  const issuer = changes.issuer ?? ca;
  const tbs = encodeTbsCertificateList(
    {
      signatureAlgorithm: "ecdsa-p256-sha256",
      issuer: issuer.name,
      thisUpdate: start,
      nextUpdate: new Date("2050-01-01T00:00:00Z"),
      authorityKeyIdentifier: keyIdentifier(issuer.spki),
      number: changes.number ?? 7,
      distributionPoint: { url: changes.url ?? url, onlyContains: "UserCerts" },
    },
    entriesOf(revoked),
  );
  return assembleCertificateList(tbs, "ecdsa-p256-sha256", sign("sha256", tbs, issuer.key));
}

const revoked: readonly Revoked[] = [
  { serial: "50010000000000000000000000000001", at: second },
  { serial: "50010000000000000000000000000002", at: second + 1, reason: 1 },
  { serial: "50010000000000000000000000000003", at: second + 86_399, reason: 0 },
  { serial: "5001ff00000000000000000000000000", at: Date.parse("2050-03-01T23:59:59Z") / 1000, reason: 10 },
];

t.test("OpenSSL verifies and reads a list as it was meant", async (t) => {
  const shown = withFiles([ca.pem], (file = "") =>
    openssl(["crl", "-inform", "DER", "-noout", "-text", "-verify", "-CAfile", file], listOf(revoked)).toString(),
  );
  t.match(shown, "Version 2");
  t.match(shown, "Last Update: Nov 26 12:00:00 2026 GMT");
  t.match(shown, "Next Update: Jan  1 00:00:00 2050 GMT");
  t.match(shown, /X509v3 CRL Number: *\n *7\n/);
  t.match(shown, /X509v3 Issuing Distribution Point: critical/);
  t.match(shown, `URI:${url}`);
  t.match(shown, "Only User Certificates");
  for (const { serial } of revoked) t.match(shown, `Serial Number: ${serial.toUpperCase()}`);
  t.equal(
    shown.split("X509v3 CRL Reason Code").length - 1,
    2,
    "no reason, and the reason unspecified, are not written",
  );
  t.match(shown, "Key Compromise");
  t.match(shown, "AA Compromise");
  t.match(shown, "Mar  1 23:59:59 2050 GMT");
});

t.test("@peculiar/x509 reads the same, and Node verifies the signature", async (t) => {
  const octets = listOf(revoked);
  const list = new witness.X509Crl(octets);
  t.same(
    list.entries.map(({ serialNumber, reason, revocationDate }) => ({
      serial: serialNumber,
      at: revocationDate.getTime() / 1000,
      reason: reason ?? 0,
    })),
    revoked.map(({ serial, at, reason = 0 }) => ({ serial, at, reason })),
  );
  t.equal(await list.verify({ publicKey: new witness.X509Certificate(ca.der) }), true);
  const { tbs, signature } = readDistributedList(octets);
  t.equal(verify("sha256", tbs, createPublicKey(ca.key), signature), true);
  readDer(octets); // The strict reader of everything finds nothing that is not DER.
});

t.test("our own reader returns what was written, and takes no such list for a complete one", async (t) => {
  const octets = listOf(revoked);
  const list = readDistributedList(octets);
  t.same(list.distributionPoint, { url, onlyContains: "UserCerts" });
  t.same(
    [list.number.toString("hex"), list.entries, list.thisUpdate, list.nextUpdate],
    ["07", 4, start, new Date("2050-01-01T00:00:00Z")],
  );
  t.ok(list.issuer.equals(ca.name) && list.authorityKeyIdentifier.equals(keyIdentifier(ca.spki)));
  t.ok(revoked.every(({ serial }) => list.revokes(Buffer.from(serial, "hex"))));
  t.notOk(list.revokes(Buffer.from("50010000000000000000000000000004", "hex")));
  const seen: Revoked[] = [];
  scanCertificateList(octets, (bytes, from, end, at, reason) =>
    seen.push({ serial: bytes.toString("hex", from, end), at, ...(reason !== undefined && { reason }) }),
  );
  t.same(
    seen,
    revoked.map(({ reason, ...entry }) => ({ ...entry, ...(reason !== undefined && reason > 0 && { reason }) })),
  );
  t.throws(() => readCertificateList(octets), DerError, "who judges by complete lists refuses one of a part");
});

t.test("a list of nothing has no list of entries (RFC 5280 §5.1.2.6)", async (t) => {
  const octets = listOf([]);
  const shown = withFiles([ca.pem], (file = "") =>
    openssl(["crl", "-inform", "DER", "-noout", "-text", "-verify", "-CAfile", file], octets).toString(),
  );
  t.match(shown, "No Revoked Certificates");
  t.equal(new witness.X509Crl(octets).entries.length, 0);
  t.equal(readDistributedList(octets).entries, 0);
});

t.test(
  "OpenSSL's path validation finds a certificate on the list of its distribution point, and one that is not on it good",
  async (t) => {
    // RFC 5280 §4.2.1.13: the same name as in the list, or the list says nothing about the certificate.
    const points = (to: string) => ({
      oid: "2.5.29.31",
      critical: false,
      value: encodeDer(sequence(sequence(constructed(0, constructed(0, primitive(6, Buffer.from(to))))))),
    });
    const leaf = (serial: string, to = url) =>
      issue({ commonName: "leaf", issuer: ca, serialNumber: Buffer.from(serial, "hex"), extensions: [points(to)] });
    const list = pemEncode("X509 CRL", listOf(revoked));
    const check = (certificate: Issued): string =>
      withFiles([ca.pem, list, certificate.pem], (root = "", crl = "", file = "") => {
        try {
          const flags = ["-crl_check", "-extended_crl", "-attime", String(second + 60)];
          return openssl(["verify", ...flags, "-CAfile", root, "-CRLfile", crl, file]).toString();
        } catch (error) {
          return String((error as { stderr?: Buffer }).stderr);
        }
      });
    t.match(check(leaf("50010000000000000000000000000009")), /: OK/);
    t.match(check(leaf("50010000000000000000000000000002")), /certificate revoked/);
    t.match(check(leaf("50010000000000000000000000000009", `${url}x`)), /scope/i, "another point's list is no list");
  },
);

t.test("numbers of any size are INTEGERs in their shortest form", async (t) => {
  for (const [number, hex] of [
    [0, "00"],
    [127, "7f"],
    [128, "0080"],
    [255, "00ff"],
    [256, "0100"],
    [65_535, "00ffff"],
    [Number.MAX_SAFE_INTEGER, "1fffffffffffff"],
  ] as const) {
    t.equal(readDistributedList(listOf([], { number })).number.toString("hex"), hex, String(number));
  }
  for (const number of [-1, 1.5, 2 ** 53, NaN]) t.throws(() => certificateListNumber(number), RangeError);
});

t.test("entries of every length: lengths of the list in one to four octets, and slabs that fill up", async (t) => {
  for (const count of [1, 2, 3, 6, 7, 1_800, 40_000, 500_000]) {
    const entries = createRevokedEntries();
    const serial = Buffer.alloc(16, 0x41);
    for (let index = 0; index < count; index += 1) {
      serial.writeUInt32BE(index, 12);
      entries.add(serial, 0, 16, second + index, index % 3 === 0 ? 4 : undefined);
    }
    const tbs = encodeTbsCertificateList(
      {
        signatureAlgorithm: "ecdsa-p256-sha256",
        issuer: ca.name,
        thisUpdate: start,
        nextUpdate: new Date("2026-12-26T12:00:00Z"),
        authorityKeyIdentifier: keyIdentifier(ca.spki),
        number: 1,
        distributionPoint: { url, onlyContains: "UserCerts" },
      },
      entries,
    );
    let [index, good] = [0, true];
    const scanned = scanTbsCertificateList(tbs, (octets, from, end, at, reason) => {
      good &&= end - from === 16 && octets.readUInt32BE(from + 12) === index && at === second + index;
      good &&= reason === (index % 3 === 0 ? 4 : undefined);
      index += 1;
    });
    t.equal(scanned.entries, count);
    t.ok(good, `${count} entries, each as it was added`);
  }
});

t.test("what no list may have is not written", async (t) => {
  const add =
    (serials: readonly string[], at = second, reason?: number) =>
    () =>
      entriesOf(serials.map((serial) => ({ serial, at, ...(reason !== undefined && { reason }) })));
  for (const serial of ["", "00", "0001", "80", "ff01", "01".repeat(21)]) t.throws(add([serial]), RangeError, serial);
  t.throws(add(["02", "01"]), RangeError, "order");
  t.throws(add(["02", "02"]), RangeError, "twice");
  for (const reason of [-1, 7, 8, 11, 1.5]) t.throws(add(["01"], second, reason), RangeError, `reason ${reason}`);
  t.throws(add(["01"], second + 0.5), RangeError, "fraction");
  t.throws(add(["01"], Date.parse("1949-12-31T00:00:00Z") / 1000), RangeError, "before 1950");
  t.doesNotThrow(add(["00ff", "01".repeat(20), "0200"]), "different sizes, octet by octet");
  t.throws(() => listOf([], { url: "http://crl.test/a b" }), RangeError);
  t.throws(() => issuingDistributionPoint({ url: undefined, onlyContains: undefined }), RangeError, "says nothing");
});

t.test("a distribution point that is written otherwise, or says more, is refused", async (t) => {
  const octets = listOf(revoked);
  const uri = primitive(6, Buffer.from(url));
  const good = sequence(constructed(0, constructed(0, uri)), primitive(1, Buffer.from([0xff])));
  const at = octets.indexOf(encodeDer(good));
  t.ok(at > 0);
  const named = (value: ReturnType<typeof sequence>): Buffer => {
    // The same size, so that nothing around it changes.
    const written = encodeDer(value);
    t.equal(written.length, good.size);
    return Buffer.concat([octets.subarray(0, at), written, octets.subarray(at + good.size)]);
  };
  t.equal(readDistributedList(named(good)).entries, 4);
  const point = constructed(0, constructed(0, uri));
  t.throws(() => readDistributedList(named(sequence(point, primitive(1, Buffer.from([0x00]))))), DerError, "FALSE");
  t.equal(
    readDistributedList(named(sequence(point, primitive(2, Buffer.from([0xff]))))).distributionPoint.onlyContains,
    "CACerts",
  );
  t.throws(() => readDistributedList(named(sequence(point, primitive(2, Buffer.from([0x01]))))), DerError, "not DER");
  t.throws(() => readDistributedList(named(sequence(point, primitive(4, Buffer.from([0xff]))))), DerError, "indirect");
  t.throws(() => readDistributedList(named(sequence(point, primitive(3, Buffer.from([0x00]))))), DerError, "reasons");
  t.throws(
    () => readDistributedList(named(sequence(constructed(0, constructed(1, uri)), primitive(1, Buffer.from([0xff]))))),
    DerError,
    "a name relative to the issuer's",
  );
});

t.test("a list of all certificates of CAs names no point (RFC 5280 §5.2.5)", async (t) => {
  const complete = { url: undefined, onlyContains: "CACerts" } as const;
  const { value, critical } = issuingDistributionPoint(complete);
  t.equal(value.toString("hex"), "30038201ff");
  t.equal(critical, true);
  t.same(readIssuingDistributionPoint(value), complete);
  const read = (hex: string) => () => readIssuingDistributionPoint(Buffer.from(hex, "hex"));
  t.same(read("30038101ff")(), { url: undefined, onlyContains: "UserCerts" });
  for (const hex of [
    "3000",
    "30068101ff8201ff",
    "30068201ff8201ff",
    "3003820100",
    "30048202ffff",
    "30038401ff",
    "30020500",
  ])
    t.throws(read(hex), DerError, hex);
});

t.test("entries that are not DER are refused where OpenSSL may not mind", async (t) => {
  const octets = listOf(revoked);
  const bend = (from: string, to: string): (() => unknown) => {
    const at = octets.indexOf(Buffer.from(from, "hex"));
    t.ok(at > 0, from);
    const bent = Buffer.concat([octets.subarray(0, at), Buffer.from(to, "hex"), octets.subarray(at + to.length / 2)]);
    t.equal(bent.length, octets.length);
    return () => readDistributedList(bent);
  };
  const utc = Buffer.from("261126120000Z").toString("hex");
  t.throws(bend(`0210${revoked[0]?.serial}`, "02100000"), DerError, "a serial number that is padded");
  t.throws(bend(`0210${revoked[0]?.serial}`, "0310"), DerError, "no INTEGER");
  t.throws(bend(`0001170d${utc}`, `0001170d${Buffer.from("261126240000Z").toString("hex")}`), DerError, "24:00");
  t.throws(bend(`0001170d${utc}`, `0001170d${Buffer.from("261131120000Z").toString("hex")}`), DerError, "31 November");
  t.throws(bend(`0001170d${utc}`, `0001170d${Buffer.from("2611261200000").toString("hex")}`), DerError, "no Z");
  t.throws(bend("0603551d1504030a0101", "0603551d1504030a0107"), DerError, "reason 7");
  t.throws(bend("0603551d1504030a0101", "0603551d1504030a010b"), DerError, "reason 11");
  t.throws(bend("300c300a0603551d15", "300b300a0603551d15"), DerError, "a length");
  // The year 0026 behind the year 26: both have the day that was looked at before.
  const [first, last] = ["170d261126120001Z", "180f20500301235959Z"].map((text) =>
    Buffer.concat([Buffer.from(text.slice(0, 4), "hex"), Buffer.from(text.slice(4))]).toString("hex"),
  );
  t.ok(octets.toString("hex").includes(first ?? ""));
  t.throws(
    bend(last ?? "", `180f${Buffer.from("00261126235959Z").toString("hex")}`),
    { message: /GeneralizedTime before 2050/ },
    "a year of four digits",
  );
  for (let cut = 0; cut < octets.length; cut += 1)
    t.throws(() => readDistributedList(octets.subarray(0, cut)), DerError);
  t.throws(() => readDistributedList(Buffer.concat([octets, Buffer.alloc(1)])), DerError, "trailing octets");
});

t.test("lists of others that are about everything are read as before", async (t) => {
  const made = await witness.X509CrlGenerator.create({
    issuer: "CN=other",
    thisUpdate: start,
    nextUpdate: new Date("2027-01-01T00:00:00Z"),
    entries: [{ serialNumber: "4f01", revocationDate: start, reason: witness.X509CrlReason.keyCompromise }],
    signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    signingKey: (await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]))
      .privateKey,
  });
  t.ok(readCertificateList(Buffer.from(made.rawData)).revokes(Buffer.from("4f01", "hex")));
  t.throws(() => readDistributedList(Buffer.from(made.rawData)), DerError, "and are about no distribution point");
});
