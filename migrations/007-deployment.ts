/**
 * What all server processes on one database share besides their objects: one random secret, from which they derive the keys that nonces
 * and messages between them are authenticated with.
 */
import { sql, type Kysely } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql
    .raw(
      `create table deployment (
         singleton boolean primary key default true check (singleton),
         secret bytea not null check (length(secret) = 32)
       )`,
    )
    .execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql.raw(`drop table deployment`).execute(db);
}
