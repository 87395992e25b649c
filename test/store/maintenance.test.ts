import { randomBytes } from "node:crypto";
import t from "tap";
import { firstIdOf, newId } from "../../src/acme/id.ts";
import { createOutboxStore, pingDatabase, prune } from "../../src/store/maintenance.ts";
import { createOrderStore } from "../../src/store/orders.ts";
import { makeAccount, makeCertificate, migratedDatabase, orderFor, query } from "../support/database.ts";

const db = await migratedDatabase(t);

t.test("two takers at once get each event once, in order", async (t) => {
  await query(
    db,
    "insert into outbox (topic, payload) select 'test', jsonb_build_object('n', n) from generate_series(1, 500) n",
  );
  const store = createOutboxStore(db);
  const taken = [await Promise.all(Array.from({ length: 8 }, () => store.take(50)))].flat();
  for (const events of taken)
    t.same(
      events,
      [...events].sort((a, b) => a.id - b.id),
      "in order",
    );
  const rest = await store.take(1000);
  const all = [...taken, rest].flat();
  t.equal(all.length, 500);
  t.equal(new Set(all.map(({ id }) => id)).size, 500);
  t.match(
    all.find(({ payload }) => payload["n"] === 7),
    { topic: "test", payload: { n: 7 } },
  );
  t.same(await store.take(10), [], "and nothing stays");
});

t.test("prune forgets old orders, authorizations and used evidence, and nothing else", async (t) => {
  const account = await makeAccount(db);
  const orders = createOrderStore(db);
  const monthAgo = new Date(Date.now() - 30 * 86_400_000);
  const weekAgo = new Date(Date.now() - 7 * 86_400_000);
  const order = async (made: Date): Promise<string> => {
    const plain = orderFor();
    const id = newId(made);
    await orders.createOrder(account, {
      ...plain,
      id,
      authorizations: plain.authorizations.map((authorization) => ({ ...authorization, id: newId(made) })),
    });
    return id;
  };
  const [old, processing, fresh, shared] = [
    await order(monthAgo),
    await order(monthAgo),
    await order(new Date()),
    await order(monthAgo),
  ];
  // Its proof is valid for longer than the order was open: other orders may rest on it.
  await query(db, "update acme_authorization set expires_at = now() - interval '1 second' where order_id <> $1", [
    shared,
  ]);
  await query(db, "update acme_order set status = 'processing' where id = $1", [processing]);
  const use =
    "insert into evidence_use (one_time_id, source, authorization_id, replay_until) values ($1, 'dev', $2, $3)";
  const now = new Date();
  await query(db, use, [randomBytes(32), fresh, new Date(now.getTime() - 2 * 86_400_000)]);
  await query(db, use, [randomBytes(32), fresh, new Date(now.getTime() - 3_600_000)]); // A sibling's clock may be behind.
  const { serial } = await makeCertificate(db, { notAfter: monthAgo });
  const claim = "insert into certificate_replacement (serial, order_id) values ($1, $2)";
  for (const by of [old, processing, fresh]) await query(db, claim, [randomBytes(16), by]);

  await prune(db, now, firstIdOf(weekAgo));
  const ids = await query<{ id: string }>(db, "select id from acme_order order by id");
  t.same(ids.map(({ id }) => id).sort(), [processing, fresh].sort(), "one that is being settled stays");
  t.notOk(ids.some(({ id }) => id === old));
  t.equal(
    (await query(db, "select 1 from acme_authorization")).length,
    3,
    "an authorization goes after its order, and not before it has expired",
  );
  t.equal(
    (await query(db, "select 1 from certificate_replacement")).length,
    2,
    "who replaces, as long as the order is there",
  );
  t.equal(
    (await query(db, "select 1 from evidence_use")).length,
    1,
    "until every process refuses the evidence as expired",
  );
  t.equal((await query(db, "select 1 from certificate where serial = $1", [serial])).length, 1, "the inventory stays");
  t.ok((await query(db, "select 1 from audit_entry")).length > 0, "so does the audit log");
});

t.test("prune passes over what a sibling is removing, and waits for nobody", async (t) => {
  const account = await makeAccount(db);
  const made = new Date(Date.now() - 30 * 86_400_000);
  const ids = [newId(made), newId(made), newId(made)];
  for (const id of ids) await createOrderStore(db).createOrder(account, { ...orderFor(), id });
  const client = db.client("a sibling's prune");
  await client.connect();
  await client.query("begin");
  await client.query("select from acme_order where id = $1 for update", [ids[0]]);
  await prune(db, new Date(), firstIdOf(new Date(Date.now() - 7 * 86_400_000)));
  const left = (): Promise<{ id: string }[]> => query(db, "select id from acme_order where id = any($1)", [ids]);
  t.same(await left(), [{ id: ids[0] }]);
  await client.query("rollback");
  await client.end();
  await prune(db, new Date(), firstIdOf(new Date(Date.now() - 7 * 86_400_000)));
  t.same(await left(), []);
});

t.test("ping", async (t) => {
  await t.resolves(pingDatabase(db));
});
