/** Statements of the periodic jobs: the outbox, and what may be forgotten. Inventory and audit log are never pruned here. */
import type { OutboxEvent, OutboxStore } from "../events/outbox.ts";
import { statement, type Database } from "./database.ts";

const take = statement(
  "outbox_take",
  `delete from outbox where id in (select id from outbox order by id limit $1 for update skip locked) returning id, topic, payload`,
);
const pruneEvidence = statement(
  "prune_evidence_use",
  `delete from evidence_use where one_time_id in (select one_time_id from evidence_use where replay_until < $1 limit $2)`,
);
const pruneOrders = statement(
  "prune_orders",
  `delete from acme_order where id in (select id from acme_order where id < $1 and status <> 'processing' order by id limit $2)`,
);
const pruneAuthorizations = statement(
  "prune_authorizations",
  `delete from acme_authorization where id in (select id from acme_authorization where id < $1 order by id limit $2)`,
);

const pruneBatch = 1000;

/** Implements `OutboxStore`. */
export function createOutboxStore(db: Database): OutboxStore {
  return { take: async (limit) => (await db.run<OutboxEvent>(take, [limit])).sort((a, b) => a.id - b.id) };
}

/** Forgets a batch of used evidence that is refused as expired anyway, and of ACME objects made before `oldestId`'s time. */
export async function prune(db: Database, now: Date, oldestId: string): Promise<void> {
  await db.run(pruneEvidence, [now, pruneBatch]);
  await db.run(pruneOrders, [oldestId, pruneBatch]);
  await db.run(pruneAuthorizations, [oldestId, pruneBatch]);
}

const ping = statement("ping", "select 1 as answer");

/** @throws when the database does not answer */
export async function pingDatabase(db: Database): Promise<void> {
  await db.run(ping, []);
}
