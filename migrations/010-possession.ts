/** Renewal by possession of the previous certificate, the clones that it finds, and identities in quarantine. */
import { sql, type Kysely } from "kysely";

const statements = [
  // Null for all but renewals by possession: the serial of the first certificate, which stands for the lineage, and of the one shown.
  `alter table issuance_intent add column lineage bytea, add column renewed_from bytea`,
  `alter table certificate add column lineage bytea, add column renewed_from bytea`,
  `create index certificate_lineage on certificate (lineage) where lineage is not null`,

  // Made by the first renewal. Its lock settles which of two renewals of one certificate is the second: that one shows a certificate that
  // is not `newest_serial` any more. `before_serial` is what an abandoned renewal gives back.
  `create table renewal_lineage (
     id bytea primary key,
     newest_serial bytea not null,
     before_serial bytea not null,
     renewals bigint not null default 1,
     clones bigint not null default 0,
     cloned_at timestamptz,
     expires_at timestamptz not null
   ) with (fillfactor = 70)`,
  `create index renewal_lineage_expires_at on renewal_lineage (expires_at)`,

  // By the name of an identity, whether it has certificates yet or not.
  `create table quarantine (
     id bigint generated always as identity primary key,
     identity text collate "C" not null,
     reason text not null,
     created_by text not null,
     created_at timestamptz not null default now(),
     lifted_by text,
     lifted_at timestamptz
   )`,
  `create unique index quarantine_in_force on quarantine (identity) where lifted_at is null`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  for (const statement of [
    `drop table quarantine, renewal_lineage`,
    `drop index certificate_lineage`,
    `alter table certificate drop column lineage, drop column renewed_from`,
    `alter table issuance_intent drop column lineage, drop column renewed_from`,
  ]) {
    await sql.raw(statement).execute(db);
  }
}
