import { createPublicKey } from "node:crypto";
import t from "tap";
import { openIssuers } from "../../src/authority/issuers.ts";
import type { StoredIssuer } from "../../src/authority/ports.ts";
import { chosenAlgorithm } from "../../src/keys/keyAlgorithms.ts";
import { KeyUnavailable, type KeyProvider } from "../../src/keys/signer.ts";
import { otherCa, subjectOf } from "../support/crossSigned.ts";
import { memoryHierarchy, memoryKeys, trustDomain } from "../support/issuers.ts";
import { selfSigned } from "../support/selfSigned.ts";
import { pemEncode } from "../../src/x509/pem.ts";

const now = new Date("2026-01-01T00:00:00Z");

/** A hierarchy whose rows a test may change, opened again over the same store. */
async function opened() {
  const { keys, store } = await memoryHierarchy(now);
  const changes: number[] = [];
  const unusable: string[] = [];
  const issuers = await openIssuers({
    keys,
    store,
    trustDomain,
    publicUrl: "https://ca.test",
    now: () => now,
    onChange: async (changed) => void changes.push(changed.all().length),
    onUnusable: (_, reason) => unusable.push(reason),
  });
  const row = (kind: StoredIssuer["kind"]): StoredIssuer => {
    const found = store.issuers.find((one) => one.kind === kind);
    if (found === undefined) throw new Error(`no ${kind}`);
    return found;
  };
  const change = (id: string, changed: Partial<StoredIssuer>): void => {
    const at = store.issuers.findIndex((one) => one.id === id);
    store.issuers[at] = { ...store.issuers[at], ...changed } as StoredIssuer;
  };
  return { keys, store, issuers, changes, unusable, row, change };
}

/** Another issuing CA, of a key of these, certified by somebody whom nobody checks here. */
async function another(keys: ReturnType<typeof memoryKeys>, like: StoredIssuer, changes: Partial<StoredIssuer>) {
  const label = `issuing-${changes.generation ?? 2}`;
  const { spki } = await keys.generate(label, "ec-p256");
  const { subject } = subjectOf(like.certificate ?? Buffer.alloc(0));
  const validity = { notBefore: new Date(now.getTime() - 60_000), notAfter: new Date(now.getTime() + 86_400_000) };
  const certificate = await (await otherCa("Root")).certify({ subject, spki }, validity);
  return { ...like, id: label, generation: 2, keyLabel: label, certificate, ...changes };
}

t.test("what another process changed counts after the next look", async (t) => {
  const { keys, store, issuers, changes, row, change } = await opened();
  const first = row("issuing");
  store.issuers.push(await another(keys, first, { state: "published" }));
  t.equal(issuers.all().length, 1);
  await issuers.reread();
  t.same(
    issuers.all().map(({ id, state }) => [id, state]),
    [
      [first.id, "active"],
      ["issuing-2", "published"],
    ],
  );
  t.equal(issuers.active("default").id, first.id, "what is published does not issue");
  change(first.id, { state: "retiring" });
  change("issuing-2", { state: "active" });
  await issuers.reread();
  t.equal(issuers.active("default").id, "issuing-2");
  t.equal(issuers.byId(first.id)?.state, "retiring", "what it began it finishes");
  change(first.id, { state: "retired" });
  await issuers.reread();
  t.equal(issuers.byId(first.id), undefined);
  t.equal(issuers.chainsOf(first.id, now).length, 1, "its certificates still have their chain");
  t.equal(issuers.issuerIdsOf(issuers.active("default").subjectKeyIdentifier).length, 1);
  await issuers.reread();
  t.same(changes, [1, 2, 2, 1], "told of changes, and of nothing else");
});

t.test("a line without an active issuer, or whose key is elsewhere, cannot issue; the others can", async (t) => {
  const { store, issuers, unusable, row } = await opened();
  t.throws(() => issuers.active("other"), KeyUnavailable);
  store.issuers.push(await another(memoryKeys(), row("issuing"), { name: "other", state: "active" }));
  await issuers.reread();
  await issuers.reread();
  t.throws(() => issuers.active("other"), KeyUnavailable);
  t.equal(issuers.active("default").state, "active");
  t.match(unusable, [/^the key of the issuing CA \(label issuing-2\) was not found in keys in memory/]);
  t.equal(unusable.length, 1, "said once");
});

t.test("an issuer that has ended, or that a clock made which was far ahead, issues nothing", async (t) => {
  const { keys, store } = await memoryHierarchy(now);
  const clock = { now };
  const issuers = await openIssuers({ keys, store, trustDomain, publicUrl: "https://ca.test", now: () => clock.now });
  const { notBefore, notAfter, id } = issuers.active("default");
  for (const [at, issues] of [
    [notAfter.getTime() - 1, true],
    [notAfter.getTime(), false],
    [notAfter.getTime() + 1e10, false],
    [notBefore.getTime() - 3_600_000, true],
    [notBefore.getTime() - 3_600_001, false],
  ] as const) {
    clock.now = new Date(at);
    if (issues) t.equal(issuers.active("default").id, id);
    else t.throws(() => issuers.active("default"), { name: "KeyUnavailable", message: /is valid from .* until / });
    t.equal(issuers.byId(id)?.id, id, "what it issued is still told of");
  }
});

t.test("an issuer that waits for its certificate is nothing yet", async (t) => {
  const { store, issuers, row } = await opened();
  store.issuers.push({ ...row("issuing"), id: "waits", state: "prepared", certificate: null, request: Buffer.of(0) });
  await issuers.reread();
  t.same([issuers.all().length, issuers.chainsOf("waits", now), issuers.published().size], [1, [], 2]);
});

t.test("roots: those to be trusted, the active one first; the sequence grows with every change of them", async (t) => {
  const { store, issuers, row, change } = await opened();
  const before = issuers.bundleSequence();
  const root = row("root");
  const later = new Date((before + 5) * 1000);
  const { certificate } = await otherCa("Next Root");
  store.issuers.unshift({ ...root, id: "next", generation: 2, state: "prepared", certificate, publishedAt: null });
  await issuers.reread();
  t.same([issuers.roots().length, issuers.bundleSequence()], [1, before], "prepared ones are unknown outside");
  change("next", { state: "published", publishedAt: later });
  await issuers.reread();
  t.same(
    issuers.roots().map(({ id }) => id),
    [root.id, "next"],
  );
  t.equal(issuers.bundleSequence(), before + 5);
  t.equal(issuers.rootPem().match(/BEGIN CERTIFICATE/g)?.length, 2);
  change("next", { state: "active" });
  change(root.id, { state: "retired", retiredAt: new Date((before + 9) * 1000) });
  await issuers.reread();
  t.same(
    issuers.roots().map(({ id }) => id),
    ["next"],
  );
  t.equal(issuers.bundleSequence(), before + 9);
});

t.test(
  "a root with a key of ML-DSA is in the second PEM file, and in the first only where there is no other",
  async (t) => {
    const { store, issuers, row, change } = await opened();
    const root = row("root");
    const { certificate } = selfSigned("ml-dsa-44");
    store.issuers.push({ ...root, id: "pq", name: "pq", certificate, state: "published" });
    await issuers.reread();
    const count = (pem: string): number | undefined => pem.match(/BEGIN CERTIFICATE/g)?.length;
    t.equal(issuers.rootPem(), pemEncode("CERTIFICATE", root.certificate ?? Buffer.alloc(0)));
    t.equal(count(issuers.postQuantumRootPem()), 2);
    change(root.id, { state: "retired" });
    await issuers.reread();
    t.equal(issuers.rootPem(), pemEncode("CERTIFICATE", certificate));
  },
);

t.test("an issuer whose key cannot sign with its algorithm is told of, and takes no other with it", async (t) => {
  const { keys, store, row } = await opened();
  const { certificate, privateKey } = selfSigned("ed25519");
  const first = row("issuing");
  store.issuers.push({ ...first, id: "odd", name: "odd", certificate, signatureAlgorithm: "ml-dsa-44" });
  const key = createPublicKey(privateKey);
  const strict: KeyProvider = {
    ...keys,
    async find(wanted) {
      if (!Buffer.from(wanted.spki ?? []).equals(key.export({ type: "spki", format: "der" }))) return keys.find(wanted);
      chosenAlgorithm(key, wanted.algorithm, 'the key "odd"');
      return undefined;
    },
  };
  const unusable: string[] = [];
  const options = { keys: strict, store, trustDomain, publicUrl: "https://ca.test", now: () => now };
  const issuers = await openIssuers({ ...options, onUnusable: (_, reason) => unusable.push(reason) });
  await issuers.reread();
  t.same(unusable, [
    `the key of the issuing CA (label ${first.keyLabel}) cannot be used: the key "odd" signs with ed25519, and not with ml-dsa-44 as it should`,
  ]);
  t.equal(issuers.active("default").id, first.id);
  t.throws(() => issuers.active("odd"), KeyUnavailable);
});

t.test("pointers in certificates: the list by the serial number's first random octet", async (t) => {
  const issuer = (await opened()).issuers.active("default");
  const serial = (octet: number): Buffer => Buffer.from([0x4f, 0x10, octet, ...Array<number>(13).fill(7)]);
  t.equal(issuer.crlUrl(serial(0)), `https://ca.test/crl/${issuer.id}/0.crl`);
  t.equal(issuer.crlUrl(serial(0x2b)), `https://ca.test/crl/${issuer.id}/11.crl`);
  t.equal(issuer.ocspUrl, `https://ca.test/ocsp/${issuer.id}`);
});

t.test("many looks at once are told one after the other, and what could not be told is told again", async (t) => {
  const { keys, store, row } = await opened();
  let [under, most, calls, failing] = [0, 0, 0, false];
  const issuers = await openIssuers({
    keys,
    store,
    trustDomain,
    publicUrl: "https://ca.test",
    now: () => now,
    async onChange() {
      most = Math.max(most, ++under);
      calls++;
      await new Promise((resolve) => setImmediate(resolve));
      under--;
      if (failing) throw new Error("the disk is full");
    },
  });
  store.issuers.push(await another(keys, row("issuing"), { state: "published" }));
  failing = true;
  const looks = await Promise.allSettled(Array.from({ length: 8 }, () => issuers.reread()));
  t.ok(
    looks.every(({ status }) => status === "rejected"),
    "each hears of it",
  );
  t.equal(issuers.all().length, 2, "and it counts all the same");
  failing = false;
  const before = calls;
  await Promise.all(Array.from({ length: 8 }, () => issuers.reread()));
  t.same([most, calls], [1, before + 1]);
});
