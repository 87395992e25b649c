/** OCSP responses that are signed once and served by every process; what was revoked lately is found by its time. */
import { sql, type Kysely } from "kysely";

const statements = [
  // `hash` is that of the CertID: who asks with SHA-256 is answered with SHA-256. A row without `der` waits for its first response; of those
  // with `ahead` another one is made before anybody asks. The table is small in its rows, and they change: room for that on the page.
  `create table ocsp_response (
     serial bytea not null references certificate,
     hash text not null check (hash in ('sha1', 'sha256')),
     issuer_id uuid not null,
     not_after timestamptz not null,
     revoked boolean not null,
     ahead boolean not null default false,
     der bytea,
     this_update timestamptz,
     next_update timestamptz,
     refresh_at timestamptz not null,
     taken_at timestamptz,
     primary key (serial, hash),
     check (der is null or this_update is not null and next_update > this_update and refresh_at <= next_update)
   ) with (fillfactor = 70)`,
  `create index ocsp_response_due on ocsp_response (refresh_at) where ahead`,
  `create index ocsp_response_over on ocsp_response (least(not_after, case when not ahead then next_update end))`,
  `create index revocation_revoked_at on revocation (revoked_at)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  for (const undo of [`drop index revocation_revoked_at`, `drop table ocsp_response`]) await sql.raw(undo).execute(db);
}
