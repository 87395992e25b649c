/**
 * Statements of the periodic jobs: the outbox, and what may be forgotten. Inventory and audit log are never pruned here. Rows that a
 * sibling has taken are passed over, so the jobs of several processes share the work and never wait for each other.
 */
import type { OutboxEvent, OutboxStore } from "../events/outbox.ts";
import { statement, type Database } from "./database.ts";
import { pruneLineages } from "./lineages.ts";
import { pruneOcspResponses } from "./ocspResponses.ts";
import { pruneFailures, releasePlaces } from "./orderLimits.ts";

const take = statement(
  "outbox_take",
  `delete from outbox where id in (select id from outbox order by id limit $1 for update skip locked) returning id, topic, payload`,
);
const pruneEvidence = statement(
  "prune_evidence_use",
  `delete from evidence_use
   where one_time_id in (select one_time_id from evidence_use where replay_until < $1 limit $2 for update skip locked) returning 1`,
);
const prunePins = statement(
  "prune_instance_pin",
  `delete from instance_pin p using (
     select source, instance from instance_pin where expires_at < $1 limit $2 for update skip locked
   ) old
   where p.source = old.source and p.instance = old.instance returning 1`,
);
const pruneOrders = statement(
  "prune_orders",
  `delete from acme_order
   where id in (
     select id from acme_order where id < $1 and status <> 'processing' order by id limit $2 for update skip locked
   ) returning 1`,
);
const pruneAuthorizations = statement(
  "prune_authorizations",
  `delete from acme_authorization
   where id in (
     select id from acme_authorization z
     where id < $1 and expires_at < now() and not exists (select from acme_order o where o.id = z.order_id) order by id limit $2
     for update of z skip locked
   ) returning 1`,
);
// That a certificate was replaced stays with its successor, in the inventory.
const pruneReplacements = statement(
  "prune_certificate_replacement",
  `delete from certificate_replacement
   where serial in (
     select serial from certificate_replacement r
     where order_id < $1 and not exists (select from acme_order o where o.id = r.order_id) order by order_id limit $2
     for update of r skip locked
   ) returning 1`,
);

/** A failure that no further one followed for so long is forgotten; a pause stays. */
const failuresKeptMs = 30 * 86_400_000;

/** Used evidence and pins are remembered for longer than they count: a sibling's clock may be behind, and a clock may jump ahead for a while. */
const evidenceKeptMs = 86_400_000;

/** Rows that go in one statement: few enough that nobody waits for it. */
const pruneBatch = 1000;

/** Implements `OutboxStore`. */
export function createOutboxStore(db: Database): OutboxStore {
  return { take: async (limit) => (await db.run<OutboxEvent>(take, [limit])).sort((a, b) => a.id - b.id) };
}

/** Forgets, in batches, used evidence that is refused as expired anyway, and ACME objects made before `oldestId`'s time. */
export async function prune(db: Database, now: Date, oldestId: string): Promise<void> {
  for (const [statementOf, bound] of [
    [releasePlaces, now],
    [pruneFailures, new Date(now.getTime() - failuresKeptMs)],
    [pruneEvidence, new Date(now.getTime() - evidenceKeptMs)],
    [prunePins, new Date(now.getTime() - evidenceKeptMs)],
    [pruneLineages, new Date(now.getTime() - evidenceKeptMs)],
    [pruneOrders, oldestId],
    [pruneAuthorizations, oldestId],
    [pruneReplacements, oldestId],
    [pruneOcspResponses, now],
  ] as const) {
    let gone = pruneBatch;
    while (gone === pruneBatch) gone = (await db.run(statementOf, [bound, pruneBatch])).length;
  }
}

const ping = statement("ping", "select 1 as answer");

/** @throws when the database does not answer */
export async function pingDatabase(db: Database): Promise<void> {
  await db.run(ping, []);
}
