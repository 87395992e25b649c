/** To how many accounts a running instance belongs (workload-attest-01, server rule 4). */
import { randomBytes, randomUUID } from "node:crypto";
import t from "tap";
import { newId } from "../../src/acme/id.ts";
import type { Account } from "../../src/acme/accountPorts.ts";
import type { Pinning } from "../../src/attestation/format.ts";
import { createInstancePinStore } from "../../src/store/instancePinList.ts";
import { prune } from "../../src/store/maintenance.ts";
import { createOrderStore } from "../../src/store/orders.ts";
import { makeAccount, migratedDatabase, orderFor, query } from "../support/database.ts";

const db = await migratedDatabase(t);
const orders = createOrderStore(db);
const pins = createInstancePinStore(db);
const soon = (): Date => new Date(Date.now() + 600_000);
const strict: Pinning = { mode: "strict" };

/** An account shows fresh evidence of an instance for an order of its own. */
async function show(account: Account, instance: string, pinning: Pinning, source = "pods") {
  const identifier = { type: "uri", value: "spiffe://example.org/a" } as const;
  const order = orderFor({ identifiers: [identifier] });
  const [authorization] = order.authorizations;
  if (authorization === undefined) throw new Error("no authorization");
  const challenge = { type: "workload-attest-01", token: "token", status: "pending" } as const;
  await orders.createOrder(account, {
    ...order,
    authorizations: [{ ...authorization, identifier, challenges: [challenge] }],
  });
  const oneTimeId = randomBytes(32);
  const outcome = await orders.attested({
    signer: account,
    authorizationId: authorization.id,
    orderId: order.id,
    challenge: { ...challenge, status: "valid" },
    expiresAt: soon(),
    attestation: {
      source,
      format: "k8s",
      digest: "",
      bindingLevel: "bearer",
      grant: "g",
      grantVersion: "1",
      claims: {},
    },
    storedGrant: null,
    evidence: [{ oneTimeId, source, replayUntil: soon() }],
    instances: [{ source, instance, pinning }],
  });
  return { outcome, oneTimeId, authorizationId: authorization.id, orderId: order.id };
}
const outcomeOf = async (...of: Parameters<typeof show>): Promise<string> => (await show(...of)).outcome;
const accounts = (n: number): Promise<Account[]> => Promise.all(Array.from({ length: n }, () => makeAccount(db)));
const events = (instance: string) =>
  query<{ payload: Record<string, unknown> }>(
    db,
    "select payload from outbox where topic = 'instance.shared' and payload->>'instance' = $1 order by id",
    [instance],
  );
const readPin = async (instance: string) => (await pins.listPins({ instance, shared: false }, undefined, 10))[0];

t.test("strict: one account, as often as it likes; what another one shows uses nothing up", async (t) => {
  const [alice, bob] = (await accounts(2)) as [Account, Account];
  const pod = randomUUID();
  t.equal(await outcomeOf(alice, pod, strict), "attested");
  t.equal(await outcomeOf(alice, pod, strict), "attested");
  const refused = await show(bob, pod, strict);
  t.equal(refused.outcome, "pinned");
  t.equal((await query(db, "select from evidence_use where one_time_id = $1", [refused.oneTimeId])).length, 0);
  const [order] = await query<{ status: string }>(db, "select status from acme_order where id = $1", [refused.orderId]);
  t.equal(order?.status, "pending", "everything that the statement did went with it");
  t.equal(await outcomeOf(bob, pod, strict, "other-cluster"), "attested", "another source's instance is another one");
  t.match(await readPin(pod), { mode: "strict", most: 1, shown: 1 });
});

t.test("count: so many accounts; alert: any, with an event for each further one", async (t) => {
  const [a, b, c] = (await accounts(3)) as [Account, Account, Account];
  const pod = randomUUID();
  const two: Pinning = { mode: "count", accounts: 2 };
  t.strictSame(
    [
      await outcomeOf(a, pod, two),
      await outcomeOf(b, pod, two),
      await outcomeOf(c, pod, two),
      await outcomeOf(b, pod, two),
    ],
    ["attested", "attested", "pinned", "attested"],
  );
  t.match(await events(pod), [{ payload: { source: "pods", instance: pod, accounts: 2, account: b.id } }]);

  const loud = randomUUID();
  for (const account of [a, b, c, a]) t.equal(await outcomeOf(account, loud, { mode: "alert" }), "attested");
  t.same(
    (await events(loud)).map(({ payload }) => payload["account"]),
    [b.id, c.id],
    "each account once",
  );
  const audit = await query(
    db,
    "select 1 from audit_entry where event = 'instance.shared' and detail->>'instance' = $1",
    [loud],
  );
  t.equal(audit.length, 2);
  for (const account of await accounts(20)) await outcomeOf(account, loud, { mode: "alert" });
  const pin = await readPin(loud);
  t.equal(pin?.accounts.length, 16, "the newest are kept");
  t.equal(pin?.most, null);
});

t.test("once: one account, one time, and no end", async (t) => {
  const [alice, bob] = (await accounts(2)) as [Account, Account];
  const vm = randomUUID();
  t.strictSame(
    [
      await outcomeOf(alice, vm, { mode: "once" }),
      await outcomeOf(alice, vm, { mode: "once" }),
      await outcomeOf(bob, vm, { mode: "once" }),
    ],
    ["attested", "pinned", "pinned"],
  );
  t.match(await readPin(vm), { mode: "once", expiresAt: null, shown: 1 });
  await prune(db, new Date(Date.now() + 1000 * 365 * 86_400_000), newId(new Date(0)));
  t.ok(await readPin(vm), "pruning leaves it");
});

t.test("an instance that is not seen again is let go in time, and an operator may let it go before", async (t) => {
  const [alice, bob] = (await accounts(2)) as [Account, Account];
  const pod = randomUUID();
  await show(alice, pod, { mode: "strict", seconds: 60 });
  await query(db, "update instance_pin set expires_at = now() - interval '1 second' where instance = $1", [pod]);
  t.equal(await readPin(pod), undefined, "what has ended is not listed");
  t.equal(await outcomeOf(bob, pod, strict), "attested");
  t.same((await readPin(pod))?.accounts, [bob.thumbprint]);
  t.same(await events(pod), [], "nobody shares it");
  t.equal(await pins.releasePin({ source: "pods", instance: pod }), true);
  t.equal(await pins.releasePin({ source: "pods", instance: pod }), false);
  t.equal(await outcomeOf(alice, pod, strict), "attested");
  await query(db, "update instance_pin set expires_at = now() - interval '1 second' where instance = $1", [pod]);
  t.equal(await pins.releasePin({ source: "pods", instance: pod }), false, "one that has ended belongs to nobody");
});

for (const [name, pinning, most] of [
  ["strict", strict, 1],
  ["count 3", { mode: "count", accounts: 3 }, 3],
  ["once", { mode: "once" }, 1],
] as const) {
  t.test(`fifty accounts show one instance at once, pinned ${name}: exactly ${most} have it`, async (t) => {
    const pod = randomUUID();
    const shown = await Promise.all((await accounts(50)).map((account) => show(account, pod, pinning)));
    t.equal(shown.filter(({ outcome }) => outcome === "attested").length, most);
    t.equal(shown.filter(({ outcome }) => outcome === "pinned").length, 50 - most);
    t.equal((await readPin(pod))?.accounts.length, most);
    const [used] = await query<{ n: number }>(
      db,
      "select count(*) as n from evidence_use where one_time_id = any($1)",
      [shown.map(({ oneTimeId }) => oneTimeId)],
    );
    t.equal(used?.n, most, "evidence of the others was not used up");
  });
}

t.test("the list goes page by page", async (t) => {
  const alice = await makeAccount(db);
  for (let i = 0; i < 5; i++) await show(alice, `page-${i}`, strict, "paged");
  const filter = { source: "paged", shared: false };
  const first = await pins.listPins(filter, undefined, 2);
  const rest = await pins.listPins(filter, first[1], 10);
  t.same(
    [...first, ...rest].map(({ instance }) => instance),
    ["page-0", "page-1", "page-2", "page-3", "page-4"],
  );
  t.same(await pins.listPins({ ...filter, shared: true }, undefined, 10), []);
});
