/** Running instances and the accounts they belong to (workload-attest-01, server rule 4). */
import { sql, type Kysely } from "kysely";

const statements = [
  // `most` of 0 lets any number of accounts through and keeps the newest. Whoever is one too many violates the constraint, and with it
  // ends the statement that would have attested.
  `create table instance_pin (
     source text not null,
     instance text not null check (length(instance) between 1 and 1024),
     accounts uuid[] not null,
     most integer not null,
     once boolean not null,
     shown bigint not null default 1,
     first_seen_at timestamptz not null default now(),
     last_seen_at timestamptz not null default now(),
     shared_at timestamptz,
     expires_at timestamptz not null,
     primary key (source, instance),
     constraint instance_pin_taken check ((most = 0 or cardinality(accounts) <= most) and (not once or shown = 1))
   ) with (fillfactor = 80)`,
  `create index instance_pin_expires_at on instance_pin (expires_at)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql.raw(`drop table instance_pin`).execute(db);
}
