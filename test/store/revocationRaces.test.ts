/**
 * Statements that began before a revocation and end after it, held up by a lock on purpose: they have not seen it, and what they wrote is caught
 * all the same.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import t, { type Test } from "tap";

import { newId } from "../../src/acme/id.ts";
import { createCarryingOut } from "../../src/authority/revocation/carryOut.ts";
import type { Intent } from "../../src/authority/ports.ts";
import { createIssuanceLedger } from "../../src/store/issuance.ts";
import { migrate } from "../../src/store/migrate.ts";
import { createRevocationActionStore } from "../../src/store/revocationActions.ts";
import { createRevocationProgress } from "../../src/store/revocationProgress.ts";
import {
  intentFor,
  makeAccount,
  makeCertificate,
  makeReadyOrder,
  openPool,
  query,
  spiffe,
} from "../support/database.ts";
import { temporaryPostgres } from "../support/postgres.ts";

const { url } = await temporaryPostgres(t);
const db = openPool(t, url);
await migrate(db.kysely);
const store = createRevocationActionStore(db);
const ledger = createIssuanceLedger(db);
const failures: unknown[] = [];
const carryingOut = createCarryingOut({
  progress: createRevocationProgress(db),
  statementTimeoutMs: 10_000,
  now: () => new Date(),
  onFailure: (_id, error) => void failures.push(error),
});
const account = await makeAccount(db);

/** Revokes all of an identity, and says when that was closed. */
async function revokeIdentity(subject: string) {
  const id = newId(new Date());
  const begun = await store.begin(
    { id, kind: "identity", subject, delegationSource: null, reason: 1, note: "x", quarantine: true, blockKeys: false },
    new Date(),
  );
  const carried = carryingOut.begin(begun);
  return { id, carried, isClosed: async () => (await store.read(id))?.closedAt !== null };
}

/** A transaction that holds what `text` locks, until it is let go. */
async function hold(t: Test, text: string, values: unknown[]): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  t.teardown(() => client.end());
  await client.query("begin");
  await client.query(text, values);
  return async () => void (await client.query("commit"));
}

/** Resolves when a statement waits for a lock. */
async function someoneWaits(): Promise<void> {
  while ((await query(db, "select 1 from pg_locks where not granted")).length === 0) await pause(5);
}

async function ready(name = `spiffe://mayfly.test/${randomUUID()}`): Promise<Intent> {
  await makeCertificate(db, spiffe(name)); // The identity is known, and so has a row that can be held.
  const { id } = await makeReadyOrder(db, account);
  return intentFor({ ...spiffe(name), orderId: id, accountId: account.id, door: "acme" });
}

const validOnes = (name: string) =>
  query(
    db,
    "select 1 from certificate c where spiffe_id = $1 and not exists (select from revocation r where r.serial = c.serial)",
    [name],
  );

t.test("an intent that is written after the beginning, by a statement from before it", async (t) => {
  const intent = await ready();
  const letGo = await hold(t, "select from acme_order where id = $1 for update", [intent.orderId]);
  const intended = ledger.intend(intent);
  await someoneWaits();
  const { carried, isClosed, id } = await revokeIdentity(intent.identityName);
  await pause(100);
  t.notOk(await isClosed(), "it is waited for");
  await letGo();
  t.equal(await intended, "intended", "the statement has not seen the quarantine");
  await carried;
  t.match(await store.read(id), { state: "done", revoked: 1, caught: 1 });
  t.ok(await ledger.record(intent.serial, randomBytes(40)));
  t.same(await validOnes(intent.identityName), []);
  t.same(await query(db, "select reason, action_id from revocation where serial = $1", [intent.serial]), [
    { reason: 1, action_id: id },
  ]);
});

t.test("a certificate that is recorded after the beginning, by a statement from before it", async (t) => {
  const intent = await ready();
  t.equal(await ledger.intend(intent), "intended");
  const letGo = await hold(t, "select from identity where name = $1 for update", [intent.identityName]);
  const recorded = ledger.record(intent.serial, randomBytes(40));
  await someoneWaits();
  const { carried, isClosed, id } = await revokeIdentity(intent.identityName);
  await pause(100);
  t.notOk(await isClosed());
  await letGo();
  t.ok(await recorded);
  await carried;
  t.match(await store.read(id), { state: "done", revoked: 2 });
  t.same(await validOnes(intent.identityName), []);
});

t.test("one that is recorded while the action is open", async (t) => {
  const intent = await ready();
  t.equal(await ledger.intend(intent), "intended");
  const letGo = await hold(t, "select pg_current_xact_id()", []);
  const { carried, isClosed, id } = await revokeIdentity(intent.identityName);
  t.ok(await ledger.record(intent.serial, randomBytes(40)));
  t.notOk(await isClosed());
  t.same((await query(db, "select 1 from revocation where serial = $1", [intent.serial])).length, 1);
  await letGo();
  await carried;
  t.match(await store.read(id), { state: "done", revoked: 2, revokedBefore: 0 });
});

t.test("an intent that nobody finishes is abandoned by the settling job, which is told", async (t) => {
  const intent = await ready();
  t.equal(await ledger.intend(intent), "intended");
  const { carried } = await revokeIdentity(intent.identityName);
  await carried;
  const open = await ledger.openIntents(new Date(Date.now() + 1_000), 1_000);
  t.match(
    open.find(({ serial }) => serial.equals(intent.serial)),
    { revoked: true },
  );
});

t.test("whoever never ends is waited for no longer than a statement can last", async (t) => {
  const intent = await ready();
  const letGo = await hold(t, "select pg_current_xact_id()", []);
  const quick = createCarryingOut({
    progress: createRevocationProgress(db),
    statementTimeoutMs: 200,
    now: () => new Date(),
    onFailure: (_id, error) => void failures.push(error),
  });
  const id = newId(new Date());
  const began = performance.now();
  await quick.begin(
    await store.begin(
      {
        id,
        kind: "identity",
        subject: intent.identityName,
        delegationSource: null,
        reason: 1,
        note: "x",
        quarantine: true,
        blockKeys: false,
      },
      new Date(),
    ),
  );
  t.ok(performance.now() - began > 1_000);
  t.match(await store.read(id), { state: "done", revoked: 1 });
  await letGo();
});

t.test("nothing went wrong meanwhile", async (t) => t.same(failures, []));
