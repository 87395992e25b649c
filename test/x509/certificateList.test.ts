import t from "tap";
import { readCertificateList } from "../../src/x509/certificateList.ts";
import { DerError } from "../../src/x509/der.ts";
import { issue, revocationList } from "../support/platformCertificates.ts";
import { openssl, withFiles } from "./openssl.ts";

const ca = issue({ commonName: "ca" });
const [one, two] = [Buffer.from("4f01", "hex"), Buffer.from("00ff02", "hex")];
const times = { thisUpdate: new Date("2026-11-20T00:00:00Z"), nextUpdate: new Date("2051-01-01T00:00:00Z") };

t.test("a list has its issuer, its times and the serial numbers it revokes", async (t) => {
  const list = readCertificateList(revocationList(ca, { ...times, revoked: [one, two] }));
  t.ok(list.issuer.equals(ca.name));
  t.same([list.thisUpdate, list.nextUpdate], [times.thisUpdate, times.nextUpdate]);
  t.ok(list.revokes(one) && list.revokes(two));
  t.notOk(list.revokes(Buffer.from("ff02", "hex")) || list.revokes(Buffer.from("4f", "hex")));
  t.notOk(readCertificateList(revocationList(ca, times)).revokes(one), "nothing is revoked");
  t.notOk(readCertificateList(revocationList(ca, { ...times, extensions: [] })).revokes(one));
});

t.test("OpenSSL reads and verifies the lists of these tests", async (t) => {
  const list = revocationList(ca, { ...times, revoked: [one, two] });
  const shown = withFiles([ca.pem], (file = "") =>
    openssl(["crl", "-inform", "DER", "-noout", "-text", "-verify", "-CAfile", file], list).toString(),
  );
  t.match(shown, /Serial Number: 4F01/);
  t.match(shown, /Serial Number: FF02/);
});

t.test("what is no complete list of version 2 is refused", async (t) => {
  const critical = { oid: "2.5.29.28", critical: true, value: Buffer.from("3000", "hex") };
  for (const [what, octets] of [
    ["version 1", revocationList(ca, { ...times, version1: true, extensions: [] })],
    ["no end", revocationList(ca, { ...times, nextUpdate: null })],
    ["critical extension", revocationList(ca, { ...times, extensions: [critical] })],
    ["a certificate", ca.der],
    ["empty", Buffer.alloc(0)],
    ["cut short", revocationList(ca, times).subarray(0, -1)],
    ["longer", Buffer.concat([revocationList(ca, times), Buffer.alloc(1)])],
  ] as const) {
    t.throws(() => readCertificateList(octets), DerError, what);
  }
});
