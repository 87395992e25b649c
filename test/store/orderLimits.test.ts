import { randomUUID } from "node:crypto";
import t from "tap";
import type { NewOrder, Signer } from "../../src/acme/ports.ts";
import { newId } from "../../src/acme/id.ts";
import { pendingOrders } from "../../src/store/orderLimits.ts";
import { insertOrder } from "../../src/store/orderStatements.ts";
import { prune } from "../../src/store/maintenance.ts";
import { createOrderStore } from "../../src/store/orders.ts";
import { makeAccount, migratedDatabase, orderFor, query } from "../support/database.ts";

const db = await migratedDatabase(t);
const noPruning = "00000000-0000-0000-0000-000000000000";
const storeWith = (pendingOrdersPerAccount: number, pauseAfterFailures = 0) =>
  createOrderStore(db, { pendingOrdersPerAccount, pauseAfterFailures });
const slots = async ({ id }: Signer): Promise<number[]> =>
  (
    await query<{ pending_slot: number }>(
      db,
      "select pending_slot from acme_order where account_id = $1 and pending_slot is not null order by 1",
      [id],
    )
  ).map(({ pending_slot }) => pending_slot);
const named = (value = `${randomUUID()}.test`): NewOrder => {
  const order = orderFor();
  const identifier = { type: "dns", value } as const;
  return {
    ...order,
    identifiers: [identifier],
    authorizations: order.authorizations.map((one) => ({ ...one, identifier })),
  };
};

for (const limit of [1, 8, 9, 60]) {
  t.test(`a limit of ${limit} is exact under three times as many at once, on two servers`, async (t) => {
    const account = await makeAccount(db);
    const [one, other] = [storeWith(limit), storeWith(limit)];
    const orders = Array.from({ length: limit * 3 }, () => orderFor());
    const made = await Promise.all(orders.map((order, i) => (i % 2 === 0 ? one : other).createOrder(account, order)));
    t.equal(made.filter((order) => order !== undefined).length, limit);
    t.same(
      await slots(account),
      Array.from({ length: limit }, (_, i) => i),
      "each place is taken once",
    );
    t.same(await storeWith(limit).whyNoOrder(account, orderFor()), { reason: "tooManyPending", limit });
    t.equal(await storeWith(limit).createOrder(account, orderFor()), undefined);
    t.ok(
      await storeWith(limit).createOrder(await makeAccount(db), orderFor()),
      "another account has places of its own",
    );
    t.ok(await storeWith(0).createOrder(account, orderFor()), "without a limit there are no places");
    t.equal((await slots(account)).length, limit);
  });
}

t.test("the last free place of very many is found", async (t) => {
  const account = await makeAccount(db);
  const limit = 5_000;
  await query(
    db,
    `insert into acme_order (id, account_id, status, identifiers, authorization_ids, authorizations_pending, profile, profile_hash,
                             expires_at, pending_slot)
     select gen_random_uuid(), $1, 'pending', '[]', '{}', 1, 'server', '', now() + interval '1 hour', n
     from generate_series(0, $2::integer - 1) n where n <> 4711`,
    [account.id, limit],
  );
  t.ok(await storeWith(limit).createOrder(account, orderFor()));
  t.equal((await slots(account)).length, limit);
  t.equal(await storeWith(limit).createOrder(account, orderFor()), undefined);
});

t.test(
  "a place comes back when its order is ready, invalid or over, and in the statement that makes it so",
  async (t) => {
    const account = await makeAccount(db);
    const store = storeWith(2);
    const challenge = { type: "http-01", token: "token" } as const;
    const fill = async (): Promise<NewOrder> => {
      const order = orderFor();
      t.ok(await store.createOrder(account, order));
      return order;
    };
    const idOf = ({ authorizations: [first] }: NewOrder): string => first?.id ?? "";
    await fill();
    const ready = await fill();
    await store.validated(idOf(ready), { ...challenge, status: "valid" }, new Date(Date.now() + 3_600_000));
    t.equal((await slots(account)).length, 1, "ready");
    const lost = await fill();
    await store.failed({ id: idOf(lost), orderId: lost.id }, { ...challenge, status: "invalid" });
    t.equal((await slots(account)).length, 1, "invalid by a failure");
    await store.deactivateAuthorization(account, idOf(await fill()));
    t.equal((await slots(account)).length, 1, "invalid by deactivation");
    const late = await fill();
    await query(db, "update acme_order set expires_at = now() - interval '1 second' where id = $1", [late.id]);
    t.equal(await store.createOrder(account, orderFor()), undefined, "an order whose time ran out keeps its place");
    await prune(db, new Date(), noPruning);
    t.equal((await slots(account)).length, 1, "until the job comes by");
    await fill();
  },
);

t.test("with several authorizations the place comes back with the last of them", async (t) => {
  const account = await makeAccount(db);
  const store = storeWith(1);
  const plain = orderFor();
  const [one] = plain.authorizations;
  if (one === undefined) throw new Error("no authorization");
  const two = { ...one, id: newId(new Date()), identifier: { type: "dns", value: "b.test" } as const };
  const order = {
    ...plain,
    identifiers: [one.identifier, two.identifier],
    authorizations: [one, two],
    authorizationOf: [0, 1],
  };
  t.ok(await store.createOrder(account, order));
  const valid = { type: "http-01", token: "token", status: "valid" } as const;
  const later = new Date(Date.now() + 3_600_000);
  await store.validated(one.id, valid, later);
  t.equal((await slots(account)).length, 1);
  await store.validated(two.id, valid, later);
  t.equal((await slots(account)).length, 0);
});

t.test("failures in a row are counted under races, begin one pause, and end with a success", async (t) => {
  const account = await makeAccount(db);
  const store = storeWith(0, 10);
  const fail = async (value: string) => {
    const order = named(value);
    t.ok(await store.createOrder(account, order));
    const [authorization] = order.authorizations;
    return await store.failed(
      { id: authorization?.id ?? "", orderId: order.id },
      { type: "http-01", token: "token", status: "invalid" },
    );
  };
  const orders = Array.from({ length: 12 }, () => named("x.test"));
  for (const order of orders) await store.createOrder(account, order);
  const outcomes = await Promise.all(
    orders.map(({ id, authorizations: [one] }) =>
      store.failed({ id: one?.id ?? "", orderId: id }, { type: "http-01", token: "token", status: "invalid" }),
    ),
  );
  t.match(outcomes[0], { accountId: account.id, identifier: { type: "dns", value: "x.test" } });
  t.match(
    await query(db, "select failures, paused_at is not null as paused from validation_failure where account_id = $1", [
      account.id,
    ]),
    [{ failures: 12, paused: true }],
  );
  t.equal(
    (
      await query(db, "select 1 from audit_entry where event = 'identifier.paused' and subject = $1", [
        `account:${account.id}`,
      ])
    ).length,
    1,
  );
  t.equal(await store.createOrder(account, named("x.test")), undefined);
  t.same(await store.whyNoOrder(account, named("x.test")), {
    reason: "paused",
    identifiers: [{ type: "dns", value: "x.test" }],
  });
  t.same(await storeWith(0, 0).whyNoOrder(account, named("y.test")), undefined);
  t.ok(await fail("y.test"));
  t.equal(
    await store.failed(
      { id: orders[0]?.authorizations[0]?.id ?? "", orderId: orders[0]?.id ?? "" },
      { type: "http-01", token: "token", status: "invalid" },
    ),
    undefined,
    "counted once",
  );

  await query(db, "update validation_failure set last_failed_at = now() - interval '31 days'");
  await prune(db, new Date(), noPruning);
  t.match(
    await query(db, "select identifier_value from validation_failure where account_id = $1", [account.id]),
    [{ identifier_value: "x.test" }],
    "an old failure is forgotten, a pause is not",
  );
});

t.test("what an order is looked at for is answered by indexes, however much has been ordered before", async (t) => {
  const account = await makeAccount(db);
  await query(
    db,
    `insert into acme_order (id, account_id, status, identifiers, authorization_ids, authorizations_pending, profile, profile_hash, expires_at)
     select gen_random_uuid(), $1, 'valid', '[]', '{}', 0, 'server', '', now() from generate_series(1, 20000)`,
    [account.id],
  );
  await query(
    db,
    "insert into validation_failure (account_id, identifier_type, identifier_value, paused_at) select gen_random_uuid(), 'dns', n || '.test', now() from generate_series(1, 20000) n",
  );
  for (const table of ["acme_order", "validation_failure"]) await query(db, `analyze ${table}`);
  const planOf = async (text: string): Promise<string> =>
    (await query<{ "QUERY PLAN": string }>(db, `explain (generic_plan) ${text}`))
      .map((row) => row["QUERY PLAN"])
      .join("\n");
  t.match(await planOf(pendingOrders.text), /Index Only Scan using acme_order_pending/);
  const insertion = await planOf(insertOrder.text);
  t.match(insertion, /Index Only Scan using acme_order_pending/);
  t.match(insertion, /Index Scan using validation_failure_pkey|Index Only Scan using validation_failure_pkey/);
  t.notMatch(insertion, /Seq Scan on (acme_order|account|validation_failure|blocked_key)\b/);
});
