/** Alternate chains: certificates that others gave to our CAs' keys, with their way up, as ceremonies bring them in. */
import { sql, type Kysely } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  // The id is that of the chain (SHA-256 over its certificates, its beginning): the same chain is there once. The first certificate is for
  // the key of a root or of an issuing CA of ours.
  await sql
    .raw(
      `create table alternate_chain (
         id text primary key check (id ~ '^[0-9a-f]{16}$'),
         certificates bytea[] not null check (cardinality(certificates) between 1 and 10),
         created_at timestamptz not null default now()
       )`,
    )
    .execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql.raw("drop table alternate_chain").execute(db);
}
