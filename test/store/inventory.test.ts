import t from "tap";
import { newId } from "../../src/acme/id.ts";
import type { CertificateFilter, Position } from "../../src/inventory/ports.ts";
import { createCertificateStore } from "../../src/store/certificates.ts";
import { createInventoryStore } from "../../src/store/inventory.ts";
import { makeCertificate, migratedDatabase, query, spiffe } from "../support/database.ts";

const db = await migratedDatabase(t);
const store = createInventoryStore(db);
const td = "spiffe://mayfly.test";

/** SPIFFE IDs and names that a filter finds, sorted. */
async function found(filter: CertificateFilter, now = new Date()): Promise<string[]> {
  const records = await store.findCertificates(filter, undefined, 1000, now);
  return records.map(({ identity }) => identity).sort();
}

t.test("a record is what was issued, with its identity and its revocation", async (t) => {
  const intent = await makeCertificate(db, spiffe(`${td}/record`));
  await createCertificateStore(db).revoke({
    id: newId(new Date()),
    serial: intent.serial,
    reason: 1,
    revokedBy: "key",
    requireAccount: undefined,
  });
  const record = await store.readCertificate(intent.serial);
  t.match(record, {
    serial: intent.serial,
    issuerId: intent.issuerId,
    identity: `${td}/record`,
    spiffeId: `${td}/record`,
    dnsNames: [],
    evidence: intent.evidence,
    notBefore: intent.notBefore,
    notAfter: intent.notAfter,
    revocationReason: 1,
    revokedBy: "key",
  });
  t.same(await store.findCertificates({ serial: intent.serial }, undefined, 10, new Date()), [record]);
  t.equal(await store.readCertificate(Buffer.alloc(16, 1)), undefined);
});

t.test("pages neither skip nor repeat where many rows share one millisecond", async (t) => {
  const prefix = `${td}/paged`;
  const names = Array.from({ length: 60 }, (_, n) => `${prefix}/${n}`);
  await Promise.all(names.map((name) => makeCertificate(db, spiffe(name))));
  // Three milliseconds for sixty rows, and a row made while the pages are read.
  await query(
    db,
    "update certificate set issued_at = timestamptz '2026-01-01' + make_interval(secs => 0.001 * (get_byte(serial, 15) % 3)) where spiffe_id ^@ $1",
    [`${prefix}/`],
  );
  for (const size of [1, 7, 20, 60, 61]) {
    const seen: string[] = [];
    let after: Position | undefined;
    for (let page = 0; ; page++) {
      const records = await store.findCertificates({ spiffeIdPrefix: prefix }, after, size, new Date());
      seen.push(...records.map(({ identity }) => identity));
      const last = records.at(-1);
      if (last === undefined) break;
      after = { at: last.issuedAt, key: last.serial.toString("hex") };
      if (page === 0 && size === 7) await makeCertificate(db, spiffe(`${prefix}/new`));
    }
    t.same(seen.filter((name) => !name.endsWith("/new")).sort(), [...names].sort(), `pages of ${size}`);
    t.equal(new Set(seen).size, seen.length);
  }
});

t.test("newest first", async (t) => {
  for (const name of ["first", "second", "third"]) {
    await makeCertificate(db, spiffe(`${td}/order/${name}`));
    await query(db, "select pg_sleep(0.002)");
  }
  const records = await store.findCertificates({ spiffeIdPrefix: `${td}/order` }, undefined, 10, new Date());
  t.same(
    records.map(({ identity }) => identity.split("/").at(-1)),
    ["third", "second", "first"],
  );
});

t.test("a prefix is whole segments, and % and _ are characters like others", async (t) => {
  const names = ["p", "p/a", "p/a/b", "p/ab", "pp", "p/a_b", "p/axb", "p/%", "p/a%b"].map((path) => `${td}/${path}`);
  for (const name of names) await makeCertificate(db, spiffe(name));
  const below = async (path: string): Promise<string[]> =>
    (await found({ spiffeIdPrefix: `${td}/${path}` })).map((name) => name.slice(td.length + 1));
  t.same(await below("p/a"), ["p/a", "p/a/b"]);
  t.same(await below("p/a/"), ["p/a", "p/a/b"]);
  t.same(await below("p/a_b"), ["p/a_b"]);
  t.same(await below("p/%"), ["p/%"]);
  t.same(await below("p/_"), []);
  t.same(await below("%"), []);
  t.same(await below("p\\"), []);
  t.same(await below("p'; drop table certificate; --"), []);
  t.equal((await below("p")).length, 8, "all but pp");

  const identities = async (prefix: string): Promise<string[]> =>
    (await store.findIdentities(`${td}/${prefix}`, undefined, 100)).map(({ name }) => name.slice(td.length + 1));
  t.same(await identities("p/a"), ["p/a", "p/a%b", "p/a/b", "p/a_b", "p/ab", "p/axb"]);
  t.same(await identities("p/a_"), ["p/a_b"]);
  t.same(await identities("p/a%"), ["p/a%b"]);
});

t.test("names, states and windows of time", async (t) => {
  const hour = 3_600_000;
  const now = new Date(Math.floor(Date.now() / 1000) * 1000);
  const at = (hours: number): Date => new Date(now.getTime() + hours * hour);
  const names = (...dnsNames: string[]) => ({ dnsNames, identityName: dnsNames.join(",") });
  await makeCertificate(db, { ...names("valid.dns", "both.dns"), notAfter: at(5) });
  await makeCertificate(db, { ...names("expired.dns", "both.dns"), notBefore: at(-3), notAfter: at(-1) });
  await makeCertificate(db, { ...names("edge.dns"), notAfter: now });
  const revoked = await makeCertificate(db, { ...names("revoked.dns"), notBefore: at(-3), notAfter: at(-2) });
  await createCertificateStore(db).revoke({
    id: newId(new Date()),
    ...revoked,
    reason: undefined,
    revokedBy: "key",
    requireAccount: undefined,
  });
  const dns = async (filter: CertificateFilter): Promise<string[]> =>
    (await found(filter, now)).filter((name) => name.endsWith(".dns"));

  t.same(await dns({ dnsName: "both.dns" }), ["expired.dns,both.dns", "valid.dns,both.dns"]);
  t.same(await dns({ dnsName: "both" }), []);
  t.same(
    await dns({ state: "valid" }),
    ["edge.dns", "valid.dns,both.dns"],
    "the second of notAfter belongs to the validity",
  );
  t.same(await dns({ state: "expired" }), ["expired.dns,both.dns"]);
  t.same(await dns({ state: "revoked" }), ["revoked.dns"], "revoked counts before expired");
  t.same(await dns({ expiresAfter: at(5) }), ["valid.dns,both.dns"], "from this time on");
  t.same(
    await dns({ expiresAfter: at(-1), expiresBefore: at(5) }),
    ["edge.dns", "expired.dns,both.dns"],
    "and up to it",
  );
  t.equal((await dns({ issuedAfter: at(-1), issuedBefore: at(1) })).length, 4);
  t.same(await dns({ issuedBefore: at(-1) }), []);
  t.same(await dns({ issuedAfter: at(1) }), []);
  t.same(
    await dns({ state: "valid", dnsName: "both.dns", expiresAfter: at(1) }),
    ["valid.dns,both.dns"],
    "all at once",
  );
});

t.test("identities: by name, page by page, with how often and when", async (t) => {
  const prefix = `${td}/identity`;
  for (const name of ["c", "a", "b", "a"]) await makeCertificate(db, spiffe(`${prefix}/${name}`));
  const newest = await makeCertificate(db, spiffe(`${prefix}/a`));
  const page = await store.findIdentities(prefix, undefined, 2);
  t.match(page, [
    { name: `${prefix}/a`, kind: "spiffe", certificateCount: 3, newestSerial: newest.serial },
    { name: `${prefix}/b`, certificateCount: 1 },
  ]);
  t.ok((page[0]?.lastIssuedAt ?? 0) > (page[0]?.firstIssuedAt ?? 0));
  t.match(await store.findIdentities(prefix, `${prefix}/b`, 2), [{ name: `${prefix}/c` }]);
});

t.test("a search while the database is away is a 503, not a crash", async (t) => {
  const { openDatabase } = await import("../../src/store/database.ts");
  const away = openDatabase({
    address: { url: "postgresql://nobody@127.0.0.1:1/none" },
    poolSize: 1,
    statementTimeoutMs: 100,
    onError: () => undefined,
  });
  t.teardown(() => away.close());
  const refused = { name: "Problem", code: "unavailable" };
  await t.rejects(createInventoryStore(away).findCertificates({}, undefined, 1, new Date()), refused);
  await t.rejects(createInventoryStore(away).readCertificate(Buffer.alloc(16)), refused);
});
