/** Certificates of CAs may be larger than what an index takes: those of ML-DSA keys have 4 to 7 kB. */
import { sql, type Kysely } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(`alter table issuer drop constraint issuer_certificate_key`).execute(db);
  await sql.raw(`create unique index issuer_certificate on issuer (sha256(certificate))`).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql.raw(`drop index issuer_certificate`).execute(db);
  await sql.raw(`alter table issuer add constraint issuer_certificate_key unique (certificate)`).execute(db);
}
