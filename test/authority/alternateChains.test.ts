import t from "tap";
import type { StoredIssuer } from "../../src/authority/ports.ts";
import { chainForDatabase, readAlternateChains } from "../../src/authority/alternateChains.ts";
import { chainOf } from "../../src/authority/chain.ts";
import { openIssuers } from "../../src/authority/issuers.ts";
import { subjectKeyIdentifier } from "../../src/x509/extensions.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import { otherCa, subjectOf } from "../support/crossSigned.ts";
import { memoryHierarchy, trustDomain } from "../support/issuers.ts";

const now = new Date(Math.floor(Date.now() / 1000) * 1000);
const { rootCertificate: root, issuing } = await memoryHierarchy(now);
const own = {
  roots: [{ id: "root", certificate: root }],
  issuing: [issuing],
  chains: new Map([[issuing.id, chainOf([issuing.certificate])]]),
};
const elsewhere = await otherCa("Elsewhere Root");
const middle = await otherCa("Elsewhere Middle");
const middleCertificate = await elsewhere.certify(middle);
const [ofRoot, ofIssuing] = [subjectOf(root), subjectOf(issuing.certificate)];

const pem = (...ders: Buffer[]): string => ders.map((der) => pemEncode("CERTIFICATE", der)).join("");
const read = (...pems: string[]) =>
  readAlternateChains(
    pems.map((text, n) => ({ file: `${n}.pem`, pem: text })),
    [],
    own,
    { start: now, now },
  ).get(issuing.id) ?? [];

t.test("R7.4.2-3 a chain stands beside the issuing CA, or above it in place of the root", async (t) => {
  const [crossIssuing, crossRoot] = [await middle.certify(ofIssuing), await middle.certify(ofRoot)];
  const chains = read(pem(crossIssuing, middleCertificate), pem(crossRoot, middleCertificate, elsewhere.certificate));
  t.same(
    chains.map(({ certificates }) => certificates),
    [
      [crossIssuing, middleCertificate],
      [issuing.certificate, crossRoot, middleCertificate, elsewhere.certificate],
    ],
  );
  t.equal(chains[0]?.pem, pem(crossIssuing, middleCertificate));
  t.equal(new Set(chains.map(({ id }) => id)).size, 2);
  t.same(
    read(pem(crossRoot, middleCertificate, elsewhere.certificate), pem(crossIssuing, middleCertificate))
      .map(({ id }) => id)
      .toReversed(),
    chains.map(({ id }) => id),
    "a chain has its id wherever it stands",
  );
  t.same(read(), []);
});

t.test("what does not hold is refused at the start, with the file and the reason", async (t) => {
  const later = new Date(now.getTime() + 60_000);
  const cross = await middle.certify(ofIssuing);
  const wrongIdentifier = { keyIdentifier: subjectKeyIdentifier(ofRoot.spki) };
  const table: [string, string, RegExp][] = [
    ["nothing", "", /PEM certificates and nothing else/],
    ["text", "no PEM", /PEM certificates and nothing else/],
    ["a broken certificate", pem(Buffer.from("30030201", "hex")), /PEM certificates and nothing else/],
    ["too many", pem(...Array.from({ length: 11 }, () => cross)), /at most 10 certificates/],
    ["another CA's", pem(middleCertificate), /subject and the key of the root or of the issuing CA/],
    ["our key by another name", pem(await middle.certify({ ...ofIssuing, subject: ofRoot.subject })), /subject and/],
    ["our name for another key", pem(await middle.certify({ ...ofIssuing, spki: middle.spki })), /subject and the key/],
    ["the issuing CA's own", pem(issuing.certificate, root), /another certificate than the CA's own/],
    ["the root", pem(root), /another certificate than the CA's own/],
    ["no CA", pem(await middle.certify(ofIssuing, { cA: false })), /CA certificates; certificate 1 is none/],
    ["no room", pem(await middle.certify(ofRoot, { pathLenConstraint: 0 })), /certificate 1 has the path length 0/],
    ["not yet", pem(await middle.certify(ofIssuing, { notBefore: later })), /valid now; certificate 1/],
    ["over", pem(await middle.certify(ofIssuing, { notAfter: now })), /valid now; certificate 1/],
    ["a gap", pem(cross, elsewhere.certificate), /certified by the next; certificate 1 is not/],
    [
      "another middle of that name",
      pem(cross, (await otherCa("Elsewhere Middle")).certificate),
      /certified by the next/,
    ],
    [
      "another identifier",
      pem(await middle.certify(ofIssuing, wrongIdentifier)),
      /the subject key identifier [0-9a-f]{40}/,
    ],
  ];
  for (const [name, text, reason] of table) {
    t.throws(() => read(text), { message: reason }, name);
    t.throws(() => read(text), { message: /^hierarchy\.alternateChainFiles: "0\.pem": expected / }, name);
  }
  t.throws(() => read(pem(cross), pem(cross)), { message: /"1\.pem": expected a chain that no other file has/ });
});

t.test("one that ends while the server runs is not offered any more", async (t) => {
  const { issuing: first, keys, store } = await memoryHierarchy(now);
  const ends = new Date(Math.floor(now.getTime() / 1000) * 1000 + 60_000);
  const cross = await elsewhere.certify(subjectOf(first.certificate), { notAfter: ends });
  const alternateChains = [{ file: "a.pem", pem: pem(cross) }];
  const options = { keys, store, trustDomain, publicUrl: "https://ca.test", now: () => now };
  const issuers = await openIssuers({ ...options, alternateChains });
  t.equal(issuers.chainsOf(first.id, now).length, 2);
  t.equal(issuers.chainsOf(first.id, ends).length, 1);
  t.equal(issuers.chainsOf("unknown", now).length, 0);
  t.equal(issuers.published().size, 3, "issuing CA, root, cross-signature");

  // Another way up would lead around the revocation.
  const at = store.issuers.findIndex(({ id }) => id === first.id);
  store.issuers[at] = { ...store.issuers[at], state: "retiring", revokedAt: now } as StoredIssuer;
  await issuers.reread();
  t.same(
    issuers.chainsOf(first.id, now).map((chain) => chain.pem),
    [first.chainPem],
    "of one that its root revoked the default chain is left",
  );
});

t.test("chains of the database stand behind those of files; what does not hold any more is passed over", async (t) => {
  const [crossIssuing, crossRoot] = [await middle.certify(ofIssuing), await middle.certify(ofRoot)];
  const over = await middle.certify(ofIssuing, { notAfter: new Date(now.getTime() + 1000) });
  const foreign = await elsewhere.certify(middle);
  const stored = [[crossRoot, middleCertificate], [over], [foreign], [crossIssuing, middleCertificate]].map(
    (certificates) => ({ id: chainOf(certificates).id, certificates }),
  );
  const files = [{ file: "a.pem", pem: pem(crossIssuing, middleCertificate) }];
  const later = new Date(now.getTime() + 2000);
  const found = readAlternateChains(files, stored, own, { start: now, now: later }).get(issuing.id) ?? [];
  t.same(
    found.map(({ certificates }) => certificates),
    [
      [crossIssuing, middleCertificate],
      [issuing.certificate, crossRoot, middleCertificate],
    ],
  );
  const end = new Date(now.getTime() + 100_000_000);
  t.equal(
    readAlternateChains(files, stored, own, { start: now, now: end }).get(issuing.id)?.length,
    1,
    "a file that expires while the server runs stops nothing",
  );
});

t.test("a chain for the database is looked at as those of files are", async (t) => {
  const crossRoot = await middle.certify(ofRoot);
  const { chain, issuerIds } = chainForDatabase({ file: "a.pem", pem: pem(crossRoot, middleCertificate) }, own, now);
  t.same([chain.certificates, issuerIds], [[crossRoot, middleCertificate], [issuing.id]]);
  t.throws(() => chainForDatabase({ file: "a.pem", pem: pem(root) }, own, now), {
    message: '"a.pem": expected another certificate than the CA\'s own, such as a cross-signed one',
  });
});
