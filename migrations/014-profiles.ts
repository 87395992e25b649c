/** Profiles as they were when something was issued under them, and keys that may be certified once only, or for one identity. */
import { sql, type Kysely } from "kysely";

const statements = [
  // By the hash that orders and certificates have.
  `create table profile (
     hash bytea primary key check (length(hash) = 32),
     name text not null,
     configuration jsonb not null,
     first_seen_at timestamptz not null default now()
   )`,
  // Only of profiles with such a rule: others do not look here. A statement that would use a key against the rule says so in the column refused, and
  // fails by the constraint, with everything else that it did.
  `create table certificate_key (
     spki_sha256 bytea primary key check (length(spki_sha256) = 32),
     identity_name text not null,
     first_used_at timestamptz not null default now(),
     refused boolean not null default false,
     constraint certificate_key_once check (not refused)
   )`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql.raw("drop table certificate_key, profile").execute(db);
}
