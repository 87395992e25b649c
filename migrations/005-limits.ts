/**
 * What bounds a client across all processes: places for pending orders, failures in a row that pause an account's identifier, and keys
 * that are not certified.
 */
import { sql, type Kysely } from "kysely";

const statements = [
  // A pending order has one of its account's places; the constraint makes the limit exact, and nobody waits for anybody's lock. Only
  // orders that wait are in the index, so an order leaves it once, with the change that ends its waiting.
  `alter table acme_order add column pending_slot integer check (pending_slot >= 0)`,
  `create unique index acme_order_pending on acme_order (account_id, pending_slot) where pending_slot is not null`,

  // A row for each account and identifier whose last validation failed; a success removes it.
  `create table validation_failure (
     account_id uuid not null,
     identifier_type text not null,
     identifier_value text not null,
     failures integer not null default 1 check (failures > 0),
     last_failed_at timestamptz not null default now(),
     paused_at timestamptz,
     primary key (account_id, identifier_type, identifier_value)
   ) with (fillfactor = 70)`,
  `create index validation_failure_paused on validation_failure (paused_at, account_id) where paused_at is not null`,
  `create index validation_failure_old on validation_failure (last_failed_at) where paused_at is null`,

  `create table blocked_key (
     spki_sha256 bytea primary key check (length(spki_sha256) = 32),
     reason text not null check (reason in ('keyCompromise', 'operator')),
     note text,
     blocked_by text not null,
     blocked_at timestamptz not null default now()
   )`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql.raw(`drop table validation_failure, blocked_key`).execute(db);
  await sql.raw(`alter table acme_order drop column pending_slot`).execute(db);
}
