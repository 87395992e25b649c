import { X509Certificate } from "node:crypto";
import t from "tap";
import { commonNameOf } from "../../src/x509/name.ts";
import { establishHierarchy, type HierarchyOptions } from "../../src/authority/hierarchy.ts";
import { readCertificate } from "../../src/x509/certificate.ts";
import { readBasicConstraints, readKeyUsage } from "../../src/x509/extensions.ts";
import { readCRLDistributionPoints } from "../../src/x509/revocationExtensions.ts";
import { oids } from "../../src/x509/oid.ts";
import { openIssuers } from "../../src/authority/issuers.ts";
import { memoryIssuerStore, memoryKeys } from "../support/issuers.ts";

const now = new Date("2026-01-01T00:00:00.700Z");

function options(changes: Partial<HierarchyOptions> = {}): HierarchyOptions {
  const rest = {
    trustDomain: "mayfly.test",
    keyLabel: "issuing",
    keyKind: "ec-p256" as const,
    rootLifetimeDays: 3650,
    issuingLifetimeDays: 365,
    crlShards: 16,
    publicUrl: "https://ca.test",
    now,
  };
  return { keys: memoryKeys(), store: memoryIssuerStore(), ...rest, ...changes };
}

/** Makes what is missing, and opens it. */
async function established(given: HierarchyOptions) {
  const made = await establishHierarchy(given);
  const issuers = await openIssuers({ ...given, publicUrl: "https://ca.test", now: () => given.now });
  const issuing = issuers.active("default");
  return {
    made,
    issuers,
    issuing,
    rootPem: issuers.rootPem(),
    rootCertificate: issuers.roots()[0]?.certificate ?? Buffer.alloc(0),
  };
}

t.test(
  "the root signs itself and the issuing CA; both are SVIDs of the trust domain (X.509-SVID §3.2, §4)",
  async (t) => {
    const { made, issuers, rootCertificate, rootPem, issuing } = await established(options());
    t.equal(made, true);
    const [root, below] = [new X509Certificate(rootCertificate), new X509Certificate(issuing.certificate)];
    t.ok(root.verify(root.publicKey) && root.checkIssued(root));
    t.ok(below.verify(root.publicKey) && below.checkIssued(root));
    t.ok(root.ca && below.ca);
    t.equal(new X509Certificate(rootPem).fingerprint256, root.fingerprint256);
    t.equal(new X509Certificate(issuing.chainPem).fingerprint256, below.fingerprint256);
    t.same(
      issuers.chainsOf(issuing.id, now).map(({ pem }) => pem),
      [issuing.chainPem],
    );
    t.same(issuers.chainsOf("other", now), []);
    t.same(issuers.issuerIdsOf(issuing.subjectKeyIdentifier), [issuing.id]);
    t.same(issuers.issuerIdsOf(Buffer.alloc(20)), []);

    for (const [der, pathLenConstraint] of [
      [rootCertificate, 1],
      [issuing.certificate, 0],
    ] as const) {
      const { extensions, names, notBefore, serialNumber } = readCertificate(der);
      const value = (oid: string): Buffer => extensions.find((one) => one.oid === oid)?.value ?? Buffer.alloc(0);
      t.same(names, { dns: [], ip: [], uri: ["spiffe://mayfly.test"], permanentIdentifiers: [], other: [] });
      t.same(readBasicConstraints(value(oids.basicConstraints)), { cA: true, pathLenConstraint });
      t.same(readKeyUsage(value(oids.keyUsage)), ["keyCertSign", "cRLSign"]);
      t.ok(extensions.filter(({ critical }) => critical).length === 2);
      const pointer = extensions.find(({ oid }) => oid === oids.cRLDistributionPoints)?.value;
      const rootList = `https://ca.test/crl/${issuers.roots()[0]?.id}/0.crl`;
      t.same(pointer && readCRLDistributionPoints(pointer), pathLenConstraint === 0 ? [rootList] : undefined);
      t.same(notBefore, new Date("2025-12-31T23:59:00Z"));
      t.equal(serialNumber.length, 16);
    }
    t.same(issuing.notAfter, new Date("2026-12-31T23:58:59Z"), "365 days, the last second included");
    t.equal(commonNameOf(issuing.subject), "Mayfly Issuing CA 1 mayfly.test");
  },
);

t.test("the second start finds what the first one made", async (t) => {
  const given = options();
  const first = await established(given);
  const second = await established(given);
  t.equal(second.made, false);
  t.equal(second.rootPem, first.rootPem);
  t.equal(second.issuing.id, first.issuing.id);
});

t.test("two first starts make one hierarchy", async (t) => {
  const given = options();
  const [a, b] = await Promise.all([established(given), established(given)]);
  t.same([a.made, b.made], [true, false]);
  t.equal(a.rootPem, b.rootPem);
});

t.test("a first start that was cut off goes on with the keys it made", async (t) => {
  const keys = memoryKeys();
  const store = memoryIssuerStore();
  const cut = { ...store, insertIssuers: () => Promise.reject(new Error("cut off")) };
  await t.rejects(establishHierarchy(options({ keys, store: cut })), { message: "cut off" });
  const { issuing } = await established(options({ keys, store }));
  t.same([...keys.signers.keys()].sort(), ["issuing", "issuing-root"]);
  t.equal(issuing.key.spki, keys.signers.get("issuing")?.spki);
});

t.test("keys of another CA are refused in a sentence for the operator", async (t) => {
  const store = memoryIssuerStore();
  await establishHierarchy(options({ store }));
  await t.rejects(established(options({ store })), {
    message: /^the key of the issuing CA \(label issuing\) was not found in keys in memory; start with/,
  });
  store.issuers.shift();
  await t.rejects(established(options({ store })), { message: /incomplete CA hierarchy/ });
});

t.test("the issuing CA does not outlive its root; long trust domains fit a common name", async (t) => {
  const trustDomain = `${"a".repeat(60)}.${"b".repeat(60)}.test`;
  const { issuing, rootCertificate } = await established(
    options({ rootLifetimeDays: 30, issuingLifetimeDays: 90, trustDomain }),
  );
  t.same(issuing.notAfter, readCertificate(rootCertificate).notAfter);
  t.equal(commonNameOf(issuing.subject)?.length, 64);
});

t.test("H-28 a token whose signatures do not verify makes no CA", async (t) => {
  const keys = memoryKeys();
  const store = memoryIssuerStore();
  const root = await keys.generate("issuing-root", "ec-p256");
  keys.signers.set("issuing-root", { ...root, sign: async () => Buffer.from("3006020101020101", "hex") });
  await t.rejects(establishHierarchy(options({ keys, store })), { message: /does not verify/ });
  t.same(store.issuers, []);
});
