import pg from "pg";
import t from "tap";
import { newId } from "../../src/acme/id.ts";
import type { MadeResponse } from "../../src/authority/ocspPorts.ts";
import { createCertificateStore } from "../../src/store/certificates.ts";
import { prune } from "../../src/store/maintenance.ts";
import { createOcspResponseStore, revokedLately } from "../../src/store/ocspResponses.ts";
import { revokeAll } from "../../src/store/revocations.ts";
import { makeCertificate, migratedDatabase, openPool, query } from "../support/database.ts";
import { temporaryPostgres } from "../support/postgres.ts";
import { migrate } from "../../src/store/migrate.ts";
import type { Intent } from "../../src/authority/ports.ts";

const db = await migratedDatabase(t);
const store = createOcspResponseStore(db);
const certificates = createCertificateStore(db);
const second = 1000;
const wholeSecond = (ms: number): Date => new Date(Math.floor(ms / second) * second);

/** A response that was made at `at`, for four hours. */
function responseOf({ serial, issuerId, notAfter }: Intent, changes: Partial<MadeResponse> = {}): MadeResponse {
  const thisUpdate = changes.thisUpdate ?? wholeSecond(Date.now());
  const later = (seconds: number): Date => new Date(thisUpdate.getTime() + seconds * second);
  const times = { thisUpdate, nextUpdate: later(14_400), refreshAt: later(7_200) };
  return { serial, hash: "sha1", issuerId, notAfter, revoked: false, der: Buffer.from("good"), ...times, ...changes };
}
const revoke = (serial: Buffer, reason: number | undefined = 1) =>
  certificates.revoke({ id: newId(new Date()), serial, reason, revokedBy: "test", requireAccount: undefined });
const now = (): Date => new Date();
const hours = (n: number): Date => new Date(Date.now() + n * 3600 * second);
const day: Partial<Intent> = { notBefore: hours(-1), notAfter: hours(47), profile: "long" };

t.test("what was not recorded is not known, and nothing is kept of it", async (t) => {
  const serial = Buffer.alloc(16, 0x4f);
  t.equal(await store.find(serial, "sha1", now()), undefined);
  const made = responseOf({ serial, issuerId: "00000000-0000-0000-0000-000000000000", notAfter: hours(1) } as Intent);
  t.equal(await store.keep(made, now()), false);
});

t.test("a response is kept once, for each hash, and found by every process", async (t) => {
  const certificate = await makeCertificate(db);
  const { serial, issuerId, notAfter } = certificate;
  const nothing = { issuerId, notAfter, revocation: null, response: undefined };
  t.same(await store.find(serial, "sha1", now()), nothing);
  const made = responseOf(certificate);
  const all = await Promise.all(
    Array.from({ length: 10 }, (_, n) => store.keep({ ...made, der: Buffer.from(`by ${n}`) }, now())),
  );
  t.equal(all.filter(Boolean).length, 1, "of ten at once one counts");
  const { thisUpdate, nextUpdate, refreshAt } = made;
  const found = await store.find(serial, "sha1", now());
  t.match(found, { ...nothing, response: { thisUpdate, nextUpdate, refreshAt } });
  t.equal(found?.response?.der.toString(), `by ${all.indexOf(true)}`);
  t.same(await store.find(serial, "sha256", now()), nothing);
  t.equal(await store.keep({ ...made, hash: "sha256" }, now()), true);
  t.equal((await store.find(serial, "sha1", nextUpdate))?.response, undefined, "it counts until its nextUpdate");
});

t.test("one that is due gives way to the next one", async (t) => {
  const certificate = await makeCertificate(db);
  await store.keep(responseOf(certificate, { thisUpdate: wholeSecond(Date.now() - 3 * 3600 * second) }), now());
  const next = responseOf(certificate, { der: Buffer.from("next") });
  t.equal(await store.keep(next, now()), true);
  t.equal(await store.keep({ ...next, der: Buffer.from("late") }, now()), false);
  t.equal((await store.find(certificate.serial, "sha1", now()))?.response?.der.toString(), "next");
});

t.test("one that a clock made which was ahead is none, and gives way", async (t) => {
  const certificate = await makeCertificate(db);
  const { serial } = certificate;
  const ahead = wholeSecond(Date.now() + 3 * 3600 * second);
  t.equal(await store.keep(responseOf(certificate, { thisUpdate: ahead, der: Buffer.from("ahead") }), ahead), true);
  t.equal((await store.find(serial, "sha1", now()))?.response, undefined);
  t.equal(await store.keep(responseOf(certificate, { der: Buffer.from("right") }), now()), true);
  t.equal((await store.find(serial, "sha1", now()))?.response?.der.toString(), "right");
  const little = wholeSecond(Date.now() + 40 * second);
  t.equal(await store.keep(responseOf(certificate, { thisUpdate: little }), now()), false, "clocks differ a little");
});

t.test("from the commit of a revocation on, what says good is none", async (t) => {
  const certificate = await makeCertificate(db);
  const { serial } = certificate;
  const good = responseOf(certificate);
  await store.keep(good, now());
  await revoke(serial);
  const found = await store.find(serial, "sha1", now());
  t.match(found, { revocation: { reason: 1 }, response: undefined });
  t.equal(found?.revocation?.at.getMilliseconds(), 0);
  t.equal(await store.keep({ ...good, der: Buffer.from("late") }, hours(10)), false, "and none is kept any more");
  const revoked = responseOf(certificate, { revoked: true, der: Buffer.from("revoked") });
  t.equal(await store.keep(revoked, now()), true, "what says revoked takes its place at once, due or not");
  t.equal((await store.find(serial, "sha1", now()))?.response?.der.toString(), "revoked");
});

t.test("a response that was made while the revocation was under way is none either", async (t) => {
  const { url } = await temporaryPostgres(t);
  const own = openPool(t, url);
  await migrate(own.kysely);
  const [client, ownStore] = [new pg.Client({ connectionString: url }), createOcspResponseStore(own)];
  await client.connect();
  t.teardown(() => client.end());
  const certificate = await makeCertificate(own);
  const { serial } = certificate;
  await client.query("begin");
  const one = "(select serial, issuer_id, not_after from certificate where serial = $1)";
  await client.query(revokeAll(one, { reason: "null", by: "'test'" }), [serial]);
  t.equal(await ownStore.keep(responseOf(certificate), now()), true, "it is good, as far as anybody can know");
  t.same((await ownStore.revokedLately(60, 10)).length, 0);
  await client.query("commit");
  t.match(await ownStore.find(serial, "sha1", now()), { revocation: { reason: null }, response: undefined });
  t.same(await ownStore.revokedLately(60, 10), [serial]);
  t.equal(await ownStore.keep(responseOf(certificate, { revoked: true }), now()), true);
  await client.query("begin");
  t.equal(await ownStore.keep(responseOf(certificate), hours(10)), false);
});

t.test("ahead of requests: certificates of some profiles, those with a pointer, each to one process", async (t) => {
  const ahead = [{ profile: "long", longerThanSeconds: 86_400 }];
  const since = new Date(Date.now() - 5 * second);
  const [one, two] = [await makeCertificate(db, day), await makeCertificate(db, day)];
  await makeCertificate(db, { ...day, profile: "other" });
  await makeCertificate(db, { ...day, notAfter: hours(20) });
  await store.keep(responseOf(two), now());
  t.equal(await store.markAhead(ahead, since, 1), 1, "as many as are asked for");
  t.equal(await store.markAhead(ahead, since, 10), 1);
  t.equal(await store.markAhead(ahead, since, 10), 0);
  t.equal(await store.markAhead(ahead, hours(1), 10), 0);
  t.equal(await store.markAhead([], since, 10), 0);

  const taken = await Promise.all(Array.from({ length: 4 }, () => store.takeDue(now(), 30, 10)));
  t.same(
    taken.flat().map(({ serial, hash }) => [serial, hash]),
    [[one.serial, "sha1"]],
    "one of four has it; of the other one there is a response, which is not due",
  );
  t.match(taken.flat()[0], { issuerId: one.issuerId, notAfter: one.notAfter, revocation: null });
  t.same((await store.find(one.serial, "sha1", now()))?.response, undefined, "none yet");
  t.same(await store.takeDue(now(), 30, 10), []);
  t.equal((await store.takeDue(now(), -1, 10)).length, 1, "whoever took it did not finish in time");
  t.equal(await store.keep(responseOf(one), now()), true);
  t.same(await store.takeDue(now(), -1, 10), []);
  t.same((await store.takeDue(hours(3), 30, 10)).length, 2, "both, when half of their time is over");
});

t.test("what was revoked has its response made anew", async (t) => {
  const since = new Date(Date.now() - 5 * second);
  const certificate = await makeCertificate(db, { ...day, profile: "third" });
  await store.markAhead([{ profile: "third", longerThanSeconds: 60 }], since, 10);
  await store.keep(responseOf(certificate), now());
  const due = async () => (await store.takeDue(now(), 30, 10)).map(({ serial }) => serial);
  t.notMatch(await due(), [certificate.serial]);
  await revoke(certificate.serial);
  const lately = await store.revokedLately(60, 1000);
  t.ok(lately.some((serial) => serial.equals(certificate.serial)));
  t.equal((await store.revokedLately(60, 1)).length, 1);
  const taken = await store.takeDue(now(), 30, 10);
  t.match(
    taken.find(({ serial }) => serial.equals(certificate.serial)),
    { revocation: { reason: 1 } },
  );
  t.equal(await store.keep(responseOf(certificate, { revoked: true }), now()), true);
  await store.revokedLately(60, 1000);
  t.notOk(
    (await due()).some((serial) => serial.equals(certificate.serial)),
    "once",
  );
});

t.test("what is over is forgotten, what is due is not", async (t) => {
  const { url } = await temporaryPostgres(t);
  const own = openPool(t, url);
  await migrate(own.kysely);
  const ownStore = createOcspResponseStore(own);
  const since = new Date(Date.now() - 5 * second);
  const [ahead, asked, over] = [
    await makeCertificate(own, day),
    await makeCertificate(own),
    await makeCertificate(own),
  ];
  await ownStore.markAhead([{ profile: "long", longerThanSeconds: 60 }], since, 10);
  const old = wholeSecond(Date.now() - 3 * 3600 * second);
  const past = wholeSecond(Date.now() - 5 * 3600 * second);
  await ownStore.keep(responseOf(ahead, { thisUpdate: past }), now());
  await ownStore.keep(responseOf(asked, { thisUpdate: old }), now());
  await ownStore.keep(responseOf(over, { thisUpdate: past }), now());
  await prune(own, now(), "00000000-0000-0000-0000-000000000000");
  const left = await query<{ serial: Buffer }>(own, "select serial from ocsp_response");
  t.same(
    new Set(left.map(({ serial }) => serial.toString("hex"))),
    new Set([ahead, asked].map(({ serial }) => serial.toString("hex"))),
  );
  await prune(own, hours(48), "00000000-0000-0000-0000-000000000000");
  t.same(await query(own, "select 1 from ocsp_response"), []);
});

t.test("what was revoked lately is looked for among all that is signed ahead by its key alone", async (t) => {
  const { serial } = await makeCertificate(db, { ...day, profile: "many" });
  await query(
    db,
    `with many as (
       insert into certificate (serial, fingerprint, der, issuer_id, identity_id, door, profile, profile_hash, spki_sha256, evidence,
                                not_before, not_after, issued_at, dns_names, ip_addresses)
       select substr(c.serial, 1, 2) || substr(sha256(i::text::bytea), 1, 18), sha256(i::text::bytea), der, issuer_id, identity_id, door, profile,
              profile_hash, spki_sha256, evidence, not_before, not_after, issued_at, dns_names, ip_addresses
       from certificate c, generate_series(1, 20000) i where c.serial = $1
       returning serial, issuer_id, not_after
     ), revoked as (
       insert into revocation (serial, revoked_at, reason, revoked_by, issuer_id, not_after, shard)
       select serial, now() - interval '1 day', 1, 'test', issuer_id, not_after, 0 from many
     )
     insert into ocsp_response (serial, hash, issuer_id, not_after, revoked, ahead, refresh_at)
     select serial, 'sha1', issuer_id, not_after, false, true, now() + interval '1 hour' from many`,
    [serial],
  );
  await query(db, "analyze");
  const rows = await query<{ "QUERY PLAN": string }>(db, `explain (generic_plan) ${revokedLately.text}`);
  const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
  t.match(plan, /Index Scan using revocation_revoked_at/, plan);
  t.match(plan, /ocsp_response_pkey/, plan);
  t.notMatch(plan, /ocsp_response_due/, plan);
});
