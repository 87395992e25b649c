/** Rotation: an issuer whose certificate never came may be given up. */
import { sql, type Kysely } from "kysely";

const waits = (states: string): string =>
  `alter table issuer
     drop constraint issuer_waits_for_certificate,
     add constraint issuer_waits_for_certificate check (
       certificate is not null and not_after is not null or state in (${states}) and request is not null)`;

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(waits("'prepared', 'retired'")).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql.raw("delete from issuer where certificate is null and state = 'retired'").execute(db);
  await sql.raw(waits("'prepared'")).execute(db);
}
