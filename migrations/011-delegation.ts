/** On whose behalf certificates were issued, and what has been ended. Names of people and tasks are pseudonyms (keyed hashes). */
import { sql, type Kysely } from "kysely";

const statements = [
  // Whoever ends a delegation updates the row; whoever records a certificate under it holds the row in share mode meanwhile. So the
  // end either finds the certificate, or the recording finds the end.
  `create table delegation_subject (
     pseudonym bytea primary key check (length(pseudonym) = 36),
     kind text not null check (kind in ('delegator', 'task')),
     source text not null,
     first_seen_at timestamptz not null default now(),
     ended_at timestamptz,
     ended_reason text
   )`,
  `create index delegation_subject_ended on delegation_subject (pseudonym) where ended_at is not null`,

  `create table certificate_delegation (
     serial bytea primary key,
     source text not null,
     reference bytea not null check (length(reference) = 32),
     delegator bytea not null,
     task bytea,
     expires_at timestamptz not null
   )`,
  `create index certificate_delegation_delegator on certificate_delegation (delegator)`,
  `create index certificate_delegation_task on certificate_delegation (task) where task is not null`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  for (const table of ["certificate_delegation", "delegation_subject"])
    await sql.raw(`drop table ${table}`).execute(db);
}
