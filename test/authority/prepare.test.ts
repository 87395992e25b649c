import { generateKeyPairSync } from "node:crypto";
import t from "tap";
import { lint } from "../../src/authority/lint.ts";
import { prepare } from "../../src/authority/prepare.ts";
import { serialNumber } from "../../src/authority/serialNumber.ts";
import type { WrittenProfile } from "../../src/authority/profile.ts";
import { keyUsesOf } from "../../src/authority/keyUses.ts";
import { commonNameFor } from "../../src/authority/subject.ts";
import { assembleCertificate, readCertificate } from "../../src/x509/certificate.ts";
import { keyIdentifier, readExtendedKeyUsage, readKeyUsage } from "../../src/x509/extensions.ts";
import { readCertificatePolicies } from "../../src/x509/certificatePolicies.ts";
import { commonNameOf } from "../../src/x509/name.ts";
import { readAuthorityInfoAccess, readCRLDistributionPoints } from "../../src/x509/revocationExtensions.ts";
import { oids } from "../../src/x509/oid.ts";
import { keyOf } from "../../src/x509/publicKey.ts";
import { agentOne, authorizedServer, authorizedWorkload, p256 } from "../support/authorized.ts";
import { memoryHierarchy, serverProfile, workloadProfile } from "../support/issuers.ts";

const now = new Date("2026-01-01T00:00:00.500Z");
const { issuing } = await memoryHierarchy(now);
const random = Buffer.from("ab0102030405060708090a0b0c0d", "hex");

const read = (tbs: Buffer) => readCertificate(assembleCertificate(tbs, "ecdsa-p256-sha256", Buffer.alloc(1)));

t.test("a workload's certificate says what was authorized, and nothing else", async (t) => {
  const publicKey = p256();
  const prepared = prepare(authorizedWorkload(), publicKey, issuing, { now, random });
  const certificate = read(prepared.tbs);
  t.same(certificate.names, { dns: [], ip: [], uri: [agentOne], permanentIdentifiers: [], other: [] });
  t.ok(certificate.issuer.equals(issuing.subject));
  t.equal(certificate.subject.toString("hex"), "3000");
  t.same(certificate.notBefore, new Date("2025-12-31T23:59:00Z"));
  t.same(certificate.notAfter, new Date("2026-01-01T00:13:59Z"));
  t.ok(certificate.spki.equals(publicKey.spki));
  t.ok(certificate.serialNumber.equals(prepared.serialNumber));
  const extensions = certificate.extensions.map(({ oid, critical }) => ({ oid, critical }));
  t.same(extensions, [
    { oid: oids.authorityKeyIdentifier, critical: false },
    { oid: oids.subjectKeyIdentifier, critical: false },
    { oid: oids.basicConstraints, critical: true },
    { oid: oids.keyUsage, critical: true },
    { oid: oids.extendedKeyUsage, critical: false },
    { oid: oids.subjectAltName, critical: true },
    { oid: oids.noRevAvail, critical: false },
  ]);
  t.ok(certificate.extensions[1]?.value.includes(keyIdentifier(publicKey.spki)));
  t.equal(lint(prepared), prepared, "and passes the lints");
  t.same(
    prepare(authorizedWorkload(), publicKey, issuing, { now, random }).tbs,
    prepared.tbs,
    "the same in, the same out",
  );
});

t.test("names, key usage and purposes follow authorization, key and profile", async (t) => {
  const rsa = keyOf(generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey);
  const prepared = prepare(authorizedServer(), rsa, issuing, { now, random });
  const { names, extensions } = read(prepared.tbs);
  t.same(names, { dns: ["b.test", "a.test"], ip: ["192.0.2.1"], uri: [], permanentIdentifiers: [], other: [] });
  const value = (oid: string): Buffer =>
    extensions.find((extension) => extension.oid === oid)?.value ?? Buffer.alloc(0);
  t.same(readKeyUsage(value(oids.keyUsage)), ["digitalSignature", "keyEncipherment"]);
  t.same(readExtendedKeyUsage(value(oids.extendedKeyUsage)), ["serverAuth"]);
  t.ok(lint(prepared));

  const bare = prepare(authorizedWorkload(workloadProfile({ extendedKeyUsage: [] })), p256(), issuing, { now, random });
  t.notOk(read(bare.tbs).extensions.some(({ oid }) => oid === oids.extendedKeyUsage));
  t.ok(lint(bare));
});

t.test("what lives briefly says that there is nothing to ask (RFC 9608), what lives longer where to ask", async (t) => {
  const seen = (revocation: NonNullable<WrittenProfile["revocation"]>) => {
    const authorized = authorizedWorkload(workloadProfile({ revocation }));
    const { extensions } = read(prepare(authorized, p256(), issuing, { now, random }).tbs);
    const value = (oid: string) => extensions.find((extension) => extension.oid === oid)?.value;
    const [lists, access] = [value(oids.cRLDistributionPoints), value(oids.authorityInfoAccess)];
    return {
      noRevAvail: value(oids.noRevAvail) !== undefined,
      lists: lists && readCRLDistributionPoints(lists),
      ocsp: access && readAuthorityInfoAccess(access).ocsp,
    };
  };
  const none = { noRevAvail: false, lists: undefined, ocsp: undefined };
  const lists = [`https://ca.test/crl/${issuing.id}/11.crl`]; // 0xab modulo 16
  t.same(seen({ shortLivedMaxSeconds: 900, ocsp: true }), { ...none, noRevAvail: true }, "900 seconds are not longer");
  t.same(seen({ shortLivedMaxSeconds: 899 }), { ...none, lists });
  t.same(seen({ shortLivedMaxSeconds: 0, ocsp: true }), {
    ...none,
    lists,
    ocsp: [`https://ca.test/ocsp/${issuing.id}`],
  });
  t.same(seen({ shortLivedMaxSeconds: 0, crl: false }), none);
});

t.test("a key has the uses of the profile that its kind can have", async (t) => {
  const uses = ["digitalSignature", "keyEncipherment", "keyAgreement"] as const;
  t.same(keyUsesOf(uses, "ec-p256"), ["digitalSignature", "keyAgreement"]);
  t.same(keyUsesOf(uses, "ec-p384"), ["digitalSignature", "keyAgreement"]);
  t.same(keyUsesOf(uses, "rsa"), ["digitalSignature", "keyEncipherment"]);
  t.same(keyUsesOf(uses, "ed25519"), ["digitalSignature"]);
  t.same(keyUsesOf(["keyEncipherment"], "ec-p256"), []);
});

t.test("policies are those of the profile", async (t) => {
  const authorized = authorizedServer(serverProfile({ certificatePolicies: ["1.2.3", "2.999.1"] }));
  const prepared = prepare(authorized, p256(), issuing, { now, random });
  const policies = read(prepared.tbs).extensions.find(({ oid }) => oid === oids.certificatePolicies);
  t.equal(policies?.critical, false);
  t.same(readCertificatePolicies(policies?.value ?? Buffer.alloc(0)), ["1.2.3", "2.999.1"]);
  t.ok(lint(prepared));
});

t.test("the common name is the first DNS name that has room, where the profile wants one", async (t) => {
  const profile = { name: "p", subject: "commonName" } as const;
  const long = `${"a".repeat(60)}.test`;
  t.equal(commonNameFor(profile, [long, "b.test", "a.test"]), "b.test");
  t.equal(commonNameFor(profile, [long.slice(1)]), long.slice(1), "64 characters");
  t.equal(commonNameFor({ ...profile, subject: "empty" }, ["b.test"]), undefined);
  for (const names of [[long], []]) {
    t.throws(() => commonNameFor(profile, names), { name: "SubjectRefused", message: /^profile p .* up to 64 char/ });
  }
  const { subject, extensions } = read(
    prepare(authorizedServer(serverProfile({ subject: "commonName" })), p256(), issuing, { now, random }).tbs,
  );
  t.equal(commonNameOf(subject), "b.test");
  t.equal(extensions.find(({ oid }) => oid === oids.subjectAltName)?.critical, false, "RFC 5280 §4.2.1.6");
});

t.test("a serial number begins with the day of notAfter and is positive", async (t) => {
  t.equal(serialNumber(new Date("2026-01-02T00:00:00Z"), random).toString("hex"), "4fe7ab0102030405060708090a0b0c0d");
  t.equal(serialNumber(new Date("2059-09-18T23:59:59Z"), random).readUInt16BE(0), 0x7fff, "the last day");
  t.throws(() => serialNumber(new Date("2059-09-19T00:00:00Z"), random), RangeError);
  t.throws(() => serialNumber(new Date("1970-01-02T00:00:00Z"), random), RangeError);
  t.throws(() => serialNumber(now, Buffer.alloc(13)), RangeError);
});
