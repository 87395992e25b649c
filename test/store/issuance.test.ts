import t from "tap";
import { newId } from "../../src/acme/id.ts";
import { createAccountStore } from "../../src/store/accounts.ts";
import { createIssuanceLedger } from "../../src/store/issuance.ts";
import { createOrderStore } from "../../src/store/orders.ts";
import {
  intentFor,
  makeAccount,
  makeCertificate,
  makeIssuer,
  makeReadyOrder,
  migratedDatabase,
  orderFor,
  query,
} from "../support/database.ts";
import { sha256 } from "../support/issuers.ts";

const db = await migratedDatabase(t);
const ledger = createIssuanceLedger(db);
await makeIssuer(db);
const orders = createOrderStore(db);
const der = (serial: Buffer): Buffer => Buffer.concat([Buffer.from("der"), serial]);
const orderState = async (id: string): Promise<object | undefined> => {
  const [row] = await query(db, "select status, certificate_serial, error from acme_order where id = $1", [id]);
  return row;
};
const rows = async (table: string, serial: Buffer): Promise<number> => {
  const where = {
    outbox: "payload->>'serial' = encode($1, 'hex')",
    audit_entry: "subject = 'certificate:' || encode($1, 'hex')",
  };
  const found = await query(db, `select 1 from ${table} where ${where[table as keyof typeof where] ?? "serial = $1"}`, [
    serial,
  ]);
  return found.length;
};

/** A ready order of a new account, and an intent for it. */
async function readyIntent() {
  const account = await makeAccount(db);
  const order = await makeReadyOrder(db, account);
  return { account, order, intent: intentFor({ door: "acme", orderId: order.id, accountId: account.id }) };
}

t.test("intent, then certificate, identity, order, audit entry and event together", async (t) => {
  const { account, order, intent } = await readyIntent();
  t.equal(await ledger.intend(intent), "intended");
  t.match(await orderState(order.id), { status: "processing", certificate_serial: null });
  t.equal(await ledger.record(intent.serial, der(intent.serial)), true);
  t.match(await orderState(order.id), { status: "valid", certificate_serial: intent.serial });
  const [certificate] = await query(db, "select * from certificate where serial = $1", [intent.serial]);
  t.match(certificate, {
    der: der(intent.serial),
    fingerprint: sha256(der(intent.serial)),
    issuer_id: intent.issuerId,
    order_id: order.id,
    account_id: account.id,
    dns_names: ["a.test"],
    profile: "server",
    profile_hash: intent.profileHash,
    spki_sha256: intent.spkiSha256,
    evidence: [{ proved: { by: "configuration" } }],
    not_before: intent.notBefore,
    not_after: intent.notAfter,
  });
  t.equal(await rows("issuance_intent", intent.serial), 0);
  t.equal(await rows("audit_entry", intent.serial), 1);
  t.equal(await rows("outbox", intent.serial), 1);
});

t.test("what an order replaces is known from the intent on, and stays where the order goes", async (t) => {
  const account = await makeAccount(db);
  const predecessor = await makeCertificate(db, { accountId: account.id });
  const { serial, issuerId } = predecessor;
  const order = await makeReadyOrder(db, account, { replaces: { id: "id", serial, issuerIds: [issuerId] } });
  const intent = intentFor({ door: "acme", orderId: order.id, accountId: account.id });
  t.equal(await ledger.intend(intent), "intended");
  await query(db, "delete from acme_order where id = $1", [order.id]);
  t.equal(await ledger.record(intent.serial, der(intent.serial)), true, "as the settling job does it");
  const [row] = await query(db, "select replaces from certificate where serial = $1", [intent.serial]);
  t.same(row, { replaces: serial });
  const again = { ...orderFor(), replaces: { id: "id", serial, issuerIds: [issuerId] } };
  t.equal(await orders.createOrder(account, again), undefined, "replaced once");
});

t.test("recorded twice: the second time is false, and there is one row", async (t) => {
  const { intent } = await readyIntent();
  await ledger.intend(intent);
  const results = await Promise.all(Array.from({ length: 10 }, () => ledger.record(intent.serial, der(intent.serial))));
  t.same(results.filter(Boolean), [true]);
  t.equal(await ledger.record(intent.serial, Buffer.from("another signature")), false);
  for (const table of ["certificate", "audit_entry", "outbox"]) t.equal(await rows(table, intent.serial), 1, table);
});

t.test("of twenty intents for one order at once, one moves it", async (t) => {
  const { account, order } = await readyIntent();
  const intents = Array.from({ length: 20 }, () => intentFor({ orderId: order.id, accountId: account.id }));
  const outcomes = await Promise.all(intents.map((intent) => ledger.intend(intent)));
  t.equal(outcomes.filter((outcome) => outcome === "intended").length, 1);
  const left = await query(db, "select 1 from issuance_intent where order_id = $1", [order.id]);
  t.equal(left.length, 1, "and the others left nothing");
});

t.test("no intent for an order that is not ready now", async (t) => {
  const cases: Record<string, (ready: Awaited<ReturnType<typeof readyIntent>>) => Promise<unknown>> = {
    "its account is deactivated": ({ account }) => createAccountStore(db).deactivateAccount(account),
    "only the account's status changed": ({ account }) =>
      query(db, "update account set status = 'deactivated' where id = $1", [account.id]),
    "an authorization is deactivated": ({ account, order }) =>
      orders.deactivateAuthorization(account, order.authorizations[0]?.id ?? ""),
    "an authorization has ended": ({ order }) =>
      query(db, "update acme_authorization set expires_at = now() where order_id = $1", [order.id]),
    "it has expired": ({ order }) => query(db, "update acme_order set expires_at = now() where id = $1", [order.id]),
    "it is valid": ({ order }) => query(db, "update acme_order set status = 'valid' where id = $1", [order.id]),
  };
  for (const [name, change] of Object.entries(cases)) {
    const ready = await readyIntent();
    await change(ready);
    t.equal(await ledger.intend(ready.intent), "notReady", name);
    t.equal(await rows("issuance_intent", ready.intent.serial), 0);
  }
  const { intent, order } = await readyIntent();
  t.equal(await ledger.intend({ ...intent, accountId: newId(new Date()) }), "notReady", "it is another account's");
  t.match(await orderState(order.id), { status: "ready" });

  const account = await makeAccount(db);
  const pending = orderFor();
  await orders.createOrder(account, pending);
  t.equal(await ledger.intend(intentFor({ orderId: pending.id, accountId: account.id })), "notReady", "it is pending");
});

t.test("a serial is never used again, whatever became of it", async (t) => {
  const { intent } = await readyIntent();
  await ledger.intend(intent);
  await t.rejects(ledger.intend(intentFor({ serial: intent.serial })), { code: "23505" }, "while it is intended");
  const abandoned = intentFor();
  await ledger.intend(abandoned);
  await ledger.abandon(abandoned.serial, "test");
  await t.rejects(ledger.intend(intentFor({ serial: abandoned.serial })), { code: "23505" }, "after it was abandoned");

  await ledger.record(intent.serial, der(intent.serial));
  const again = intentFor({ serial: intent.serial });
  await ledger.intend(again);
  await t.rejects(ledger.record(again.serial, Buffer.from("other")), { code: "23505" });
  const [row] = await query(db, "select der from certificate where serial = $1", [intent.serial]);
  t.same(row, { der: der(intent.serial) }, "after it was recorded");
});

t.test("an abandoned intent ends its order and is not recorded any more", async (t) => {
  const { order, intent } = await readyIntent();
  await ledger.intend(intent);
  await ledger.abandon(intent.serial, "its validity has passed");
  t.match(await orderState(order.id), {
    status: "invalid",
    error: { type: "urn:ietf:params:acme:error:serverInternal", detail: /its validity has passed$/ },
  });
  t.equal(await ledger.record(intent.serial, der(intent.serial)), false);
  t.equal(await rows("certificate", intent.serial), 0);
  await ledger.abandon(intent.serial, "again");
  t.equal(await rows("audit_entry", intent.serial), 1, "and is abandoned once");
});

t.test("no intent by an issuer that issues nothing any more, for whoever believes that it does", async (t) => {
  const issuerId = newId(new Date());
  const set = (state: string, retiring: string) =>
    query(db, `update issuer set state = $2, retiring_at = now() - $3::interval where id = $1`, [
      issuerId,
      state,
      retiring,
    ]);
  await makeIssuer(db, issuerId);
  const account = await makeAccount(db);
  const tried = async (): Promise<string[]> => {
    const order = await makeReadyOrder(db, account);
    const ofOrder = intentFor({ door: "acme", issuerId, orderId: order.id, accountId: account.id });
    const outcomes = [await ledger.intend(ofOrder), await ledger.intend(intentFor({ issuerId }))];
    if (outcomes[0] !== "intended") t.match(await orderState(order.id), { status: "ready" }, "the order waits");
    return outcomes;
  };
  t.same(await tried(), ["intended", "intended"]);
  await set("retiring", "2 seconds");
  t.same(await tried(), ["intended", "intended"], "a process may be two seconds behind");
  for (const [state, since] of [
    ["retiring", "11 seconds"],
    ["retired", "2 seconds"],
    ["published", "0"],
    ["prepared", "0"],
  ] as const) {
    await set(state, since);
    t.same(await tried(), ["notIssuing", "notIssuing"], state);
  }
  t.equal(await ledger.intend(intentFor({ issuerId: newId(new Date()) })), "notIssuing", "one that there is not");
});

t.test("open intents: the oldest first, those before a time, at most as many as asked for", async (t) => {
  await query(db, "delete from issuance_intent");
  const made = [intentFor(), intentFor(), intentFor()];
  for (const intent of made) await ledger.intend(intent);
  const later = new Date(Date.now() + 1000);
  const serials = (open: { serial: Buffer }[]): string[] => open.map(({ serial }) => serial.toString("hex"));
  t.same(serials(await ledger.openIntents(later, 2)), serials(made.slice(0, 2)));
  t.same(await ledger.openIntents(new Date(Date.now() - 60_000), 10), []);
  await ledger.abandon(made[0]?.serial ?? Buffer.alloc(0), "test");
  await ledger.record(made[1]?.serial ?? Buffer.alloc(0), Buffer.from("der"));
  const [left, ...others] = await ledger.openIntents(later, 10);
  t.match(left, { serial: made[2]?.serial, tbs: made[2]?.tbs, issuerId: made[2]?.issuerId, orderId: null });
  t.same(others, []);
  t.equal(left?.blocked, false);
  await query(
    db,
    "insert into blocked_key (spki_sha256, reason, blocked_by) values ($1, 'keyCompromise', 'operator')",
    [made[2]?.spkiSha256],
  );
  const [blocked] = await ledger.openIntents(new Date(Date.now() + 1000), 10);
  t.match(blocked, { serial: made[2]?.serial, blocked: true }, "a key that was blocked since is told");
  await query(db, "delete from blocked_key where spki_sha256 = $1", [made[2]?.spkiSha256]);
});

t.test("certificates of one identity, recorded at once, are counted on one row", async (t) => {
  const identityName = "spiffe://mayfly.test/counted";
  const intents = Array.from({ length: 10 }, () =>
    intentFor({ identityKind: "spiffe", identityName, spiffeId: identityName }),
  );
  await Promise.all(intents.map((intent) => ledger.intend(intent)));
  await Promise.all(intents.map(({ serial }) => ledger.record(serial, der(serial))));
  const found = await query<{ kind: string; certificate_count: number }>(
    db,
    "select kind, certificate_count from identity where name = $1",
    [identityName],
  );
  t.same(found, [{ kind: "spiffe", certificate_count: 10 }]);
});

t.test(
  "a key that is blocked between intent and record: what was signed is recorded, and revoked at once",
  async (t) => {
    for (const [reason, expected] of [
      ["keyCompromise", 1],
      ["operator", null],
    ] as const) {
      const intent = intentFor({ spkiSha256: sha256(`blocked ${reason}`) });
      t.equal(await ledger.intend(intent), "intended");
      await query(db, "insert into blocked_key (spki_sha256, reason, blocked_by) values ($1, $2, 'somebody')", [
        intent.spkiSha256,
        reason,
      ]);
      t.equal(await ledger.record(intent.serial, der(intent.serial)), true);
      const revoked = await query(db, "select reason, revoked_by from revocation where serial = $1", [intent.serial]);
      t.same(revoked, [{ reason: expected, revoked_by: "somebody" }]);
    }
  },
);
