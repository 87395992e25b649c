import t, { type Test } from "tap";
// oxlint-disable-next-line import/no-unassigned-import -- the witness needs its side effect
import "reflect-metadata";
import * as witness from "@peculiar/x509";
import { encodeDer } from "../../src/x509/derWriter.ts";
import { encodeExtension } from "../../src/x509/extensions.ts";
import * as x from "../../src/x509/revocationExtensions.ts";

const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(" ", ""), "hex");
const urls = ["http://ca.test/crl/a/1.crl", "http://ca.test/crl/a/2.crl"];
const refusesAll = (t: Test, read: (value: Buffer) => unknown, values: Record<string, string>): void => {
  for (const [name, value] of Object.entries(values)) t.throws(() => read(hex(value)), { name: "DerError" }, name);
};

t.test("noRevAvail is NULL (RFC 9608 §2)", async (t) => {
  t.same(x.noRevAvail, { oid: "2.5.29.56", critical: false, value: hex("0500") });
  t.equal(x.readNoRevAvail(x.noRevAvail.value), undefined);
  refusesAll(t, x.readNoRevAvail, { "not NULL": "0101ff", "NULL with content": "050100", "trailing bytes": "050000" });
});

t.test("cRLDistributionPoints", async (t) => {
  const extension = x.cRLDistributionPoints(urls);
  t.match(extension, { oid: "2.5.29.31", critical: false });
  t.same(x.readCRLDistributionPoints(extension.value), urls);
  const seen = new witness.CRLDistributionPointsExtension(encodeDer(encodeExtension(extension)));
  t.same(
    seen.distributionPoints.map((point) => point.distributionPoint?.fullName?.[0]?.uniformResourceIdentifier),
    urls,
  );
  t.throws(() => x.cRLDistributionPoints([]), RangeError);
  t.throws(() => x.cRLDistributionPoints(["http://ä"]), RangeError);
  t.same(x.readCRLDistributionPoints(hex("300b3009a007a005860361 3a62".replace(" ", ""))), ["a:b"]);
  refusesAll(t, x.readCRLDistributionPoints, {
    "no point": "3000",
    "an empty point": "30023000",
    "no name": "30043002a000",
    "no full name": "30063004a002a000",
    "reasons as well": "300e300ca007a0058603613a62 8101 01",
    "a name that is no URL": "300b3009a007a0058203613a62",
    "an empty URL": "30083006a004a0028600",
    "a space in it": "300b3009a007a005860361 2062",
  });
});

t.test("authorityInfoAccess", async (t) => {
  const [one = "", two = ""] = urls;
  const extension = x.authorityInfoAccess({ ocsp: [one], caIssuers: [two] });
  t.match(extension, { oid: "1.3.6.1.5.5.7.1.1", critical: false });
  t.same(x.readAuthorityInfoAccess(extension.value), { ocsp: [one], caIssuers: [two] });
  const seen = new witness.AuthorityInfoAccessExtension(encodeDer(encodeExtension(extension)));
  t.same([seen.ocsp.map(({ value }) => value), seen.caIssuers.map(({ value }) => value)], [[one], [two]]);
  t.throws(() => x.authorityInfoAccess({}), RangeError);
  t.throws(() => x.authorityInfoAccess({ ocsp: [""] }), RangeError);
  refusesAll(t, x.readAuthorityInfoAccess, {
    empty: "3000",
    "no location": "300c300a06082b06010505073001",
    "a location that is no URL": "3011300f06082b060105050730018203613a62",
    "another method": "3011300f06082b060105050730038603613a62",
    "three members": "3013301106082b060105050730018603613a620500",
  });
});
