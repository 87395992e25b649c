/** Moves of issuers: each from the state it names, whoever else moves at the same moment, with audit entry and event. */
import t from "tap";
import { newId } from "../../src/acme/id.ts";
import type { NewIssuer } from "../../src/authority/ports.ts";
import { createRotationStore, retire } from "../../src/store/issuerMoves.ts";
import { intentFor, makeCertificate, migratedDatabase, query } from "../support/database.ts";
import { createIssuanceLedger } from "../../src/store/issuance.ts";
import { sha256 } from "../support/issuers.ts";

const db = await migratedDatabase(t);
const store = createRotationStore(db);

let lines = 0;
const newLine = (): string => `line-${++lines}`;

function issuer(name: string, generation: number, changes: Partial<NewIssuer> = {}): NewIssuer {
  const id = newId(new Date());
  return {
    id,
    kind: "issuing",
    name,
    generation,
    state: "prepared",
    certificate: Buffer.from(id),
    request: null,
    keyLabel: id,
    signatureAlgorithm: "ecdsa-p256-sha256",
    parentId: null,
    crlShards: 16,
    notAfter: new Date(Date.now() + 86_400_000),
    spkiSha256: sha256(id),
    ...changes,
  };
}

async function make(name: string, generation: number, changes: Partial<NewIssuer> = {}): Promise<string> {
  const made = issuer(name, generation, changes);
  t.equal(await store.insertNext(made, "test"), true);
  return made.id;
}

const stateOf = async (id: string): Promise<string | undefined> =>
  (await store.readIssuers()).find((one) => one.id === id)?.state;
const told = async (id: string): Promise<string[]> => {
  const rows = await query<{ event: string }>(
    db,
    "select event from audit_entry where subject = 'issuer:' || $1 order by id",
    [id],
  );
  const events = await query<{ topic: string }>(db, "select topic from outbox where payload->>'id' = $1 order by id", [
    id,
  ]);
  t.same(
    events.map(({ topic }) => topic),
    rows.map(({ event }) => event),
    "each with its event",
  );
  return rows.map(({ event }) => event);
};

t.test("an issuer's life, told step by step", async (t) => {
  const line = newLine();
  const first = await make(line, 1, { state: "active" });
  const next = await make(line, 2);
  const activation = { id: next, previous: first, publishedSeconds: 0, actor: "test" };
  t.equal(await store.activate(activation), false, "not before it is published");
  t.equal(await store.publish(next, "test"), true);
  t.equal(await store.publish(next, "test"), false, "once");
  t.equal(await store.activate({ ...activation, publishedSeconds: 60 }), false, "not before it was for long enough");
  t.equal(await stateOf(first), "active", "and then the one before stays what it is");
  t.equal(await store.activate(activation), true);
  t.same([await stateOf(first), await stateOf(next)], ["retiring", "active"]);
  t.equal(await store.activate(activation), false, "once");
  t.equal(await store.retire(first, "test", false), true);
  t.equal(await store.retire(next, "test", true), false, "not the active one");
  t.same(await told(first), ["issuer.prepared", "issuer.retiring", "issuer.retired"]);
  t.same(await told(next), ["issuer.prepared", "issuer.published", "issuer.active"]);
  const rows = (await store.readIssuers()).find(({ id }) => id === first);
  t.ok(rows?.retiringAt && rows.retiredAt);
});

t.test("forced: what is only prepared is active at once; what waits for its certificate never is", async (t) => {
  const line = newLine();
  const first = await make(line, 1, { state: "active" });
  const waiting = await make(line, 2, { certificate: null, notAfter: null, request: Buffer.from("request") });
  const forced = { previous: first, publishedSeconds: null, actor: "test" };
  t.equal(await store.publish(waiting, "test"), false);
  t.equal(await store.activate({ ...forced, id: waiting }), false);
  t.equal(await stateOf(first), "active");
  t.equal(await store.discard(waiting, "test"), true, "it may be given up");
  const next = await make(line, 3);
  t.equal(await store.activate({ ...forced, id: next }), true);
  t.same([await stateOf(first), await stateOf(next)], ["retiring", "active"]);
  const stopped = await store.stop(next, "test");
  t.same([stopped, await stateOf(next)], [true, "retiring"]);
  const third = await make(line, 4);
  t.equal(await store.activate({ ...forced, id: third }), false, "the one before is not active any more");
  t.equal(await store.activate({ ...forced, id: third, previous: null }), true);
  const other = await make(newLine(), 1);
  t.equal(await store.activate({ ...forced, id: other, previous: third }), false, "of another line");
});

t.test("of two that do the same at the same time, one does it", async (t) => {
  for (let round = 0; round < 20; round++) {
    const line = newLine();
    const first = await make(line, 1, { state: "active" });
    const made = [issuer(line, 2), issuer(line, 2), issuer(line, 2)];
    const inserted = await Promise.all(made.map((one) => store.insertNext(one, "test")));
    t.equal(inserted.filter(Boolean).length, 1, "one second generation");
    const second = made[inserted.indexOf(true)]?.id ?? "";
    const third = await make(line, 3);
    const published = await Promise.all([1, 2, 3].map(() => store.publish(second, "test")));
    t.equal(published.filter(Boolean).length, 1);
    await store.publish(third, "test");
    const both = [second, third, second, third];
    const moved = await Promise.all(
      both.map((id) => store.activate({ id, previous: first, publishedSeconds: 0, actor: "test" })),
    );
    t.equal(moved.filter(Boolean).length, 1, "one follows");
    const states = (await store.readIssuers()).filter(({ name }) => name === line).map(({ state }) => state);
    t.same(states.sort(), ["active", "published", "retiring"]);
    t.same(await told(first), ["issuer.prepared", "issuer.retiring"], "and it is told once");
  }
  const line = newLine();
  const fresh = [await make(line, 1), await make(line, 2)];
  const moved = await Promise.all(
    fresh.map((id) => store.activate({ id, previous: null, publishedSeconds: null, actor: "test" })),
  );
  t.equal(moved.filter(Boolean).length, 1, "where none was active");
});

t.test("retired only when nothing of it counts", async (t) => {
  const line = newLine();
  const id = await make(line, 1, { state: "active" });
  const ends = (seconds: number): Date => new Date(Math.floor(Date.now() / 1000) * 1000 + seconds * 1000);
  const last = ends(600);
  await makeCertificate(db, { issuerId: id, notAfter: ends(300) });
  const { serial } = await makeCertificate(db, { issuerId: id, notAfter: last });
  const ledger = createIssuanceLedger(db);
  const open = intentFor({ issuerId: id, notAfter: ends(60) });
  await ledger.intend(open);
  await store.stop(id, "test");
  t.same(await store.lastEnd(id), last);
  t.equal(await store.outstanding(id), 2);
  t.equal(await store.retire(id, "test", false), false);
  await query(db, "update certificate set not_after = now() - interval '1 second' where issuer_id = $1", [id]);
  t.equal(await store.retire(id, "test", false), false, "an intent of it is open");
  t.same(await store.lastEnd(id), open.notAfter);
  await ledger.abandon(open.serial, "test");
  t.equal(await store.lastEnd(id), null);
  t.equal(await store.retire(id, "test", false), true);
  t.ok(serial);
});

t.test("a root is retired when no issuing CA below it counts, however far below", async (t) => {
  const root = await make("default", 1, { kind: "root", state: "active" });
  const between = await make("default", 1, { kind: "intermediate", state: "active", parentId: root });
  const line = newLine();
  const issuing = await make(line, 1, { state: "active", parentId: between });
  await store.stop(root, "test");
  t.equal(await store.retire(root, "test", false), false);
  await store.stop(issuing, "test");
  t.equal(await store.retire(root, "test", false), false);
  t.equal(await store.retire(issuing, "test", false), true);
  t.equal(await store.retire(root, "test", false), true);
});

t.test(
  "whether certificates of it count is looked up from now on, also by a plan from when there were none",
  async (t) => {
    const empty = await migratedDatabase(t);
    const rows = await query<{ "QUERY PLAN": string }>(empty, `explain (generic_plan) ${retire.text}`);
    const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
    t.match(plan, /Limit[^\n]*\n[^\n]*Index Scan using certificate_not_after on certificate\b/, plan);
    t.notMatch(plan, /Bitmap \w+ Scan on certificate/, plan);
  },
);
