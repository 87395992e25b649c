/**
 * Renewal information (RFC 9773): which order replaces which certificate, the lineage of certificates, and incidents that ask for early
 * replacement. An incident says what it covers and is looked at when a certificate is asked about; no certificate is touched by one.
 */
import { sql, type Kysely } from "kysely";

const statements = [
  // The predecessor's serial, and its id as the client wrote it.
  `alter table acme_order add column replaces bytea, add column replaces_id text`,
  `alter table issuance_intent add column replaces bytea`,
  `alter table certificate add column replaces bytea`,
  `create index certificate_replaces on certificate (replaces) where replaces is not null`,

  // One order at a time replaces a certificate. A table of its own: an index over the orders' status would make every change of a
  // status write to every index of the orders.
  `create table certificate_replacement (
     serial bytea primary key,
     order_id uuid not null
   )`,
  `create index certificate_replacement_order on certificate_replacement (order_id)`,

  `create table incident (
     id uuid primary key,
     reason text not null,
     explanation_url text,
     serials bytea[],
     identity_id uuid,
     spki_sha256 bytea,
     account_id uuid,
     issuer_id uuid,
     issued_after timestamptz,
     issued_before timestamptz not null,
     created_at timestamptz not null default now(),
     ended_at timestamptz
   )`,
  `create index incident_open on incident (created_at) where ended_at is null`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  for (const statement of [
    `drop table incident, certificate_replacement`,
    `drop index certificate_replaces`,
    `alter table certificate drop column replaces`,
    `alter table issuance_intent drop column replaces`,
    `alter table acme_order drop column replaces, drop column replaces_id`,
  ]) {
    await sql.raw(statement).execute(db);
  }
}
