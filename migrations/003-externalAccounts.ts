/**
 * External account binding (RFC 8555 §7.3.4): MAC keys that operators hand out, what accounts made with one may have, and the terms of
 * service that an account agreed to.
 */
import { sql, type Kysely } from "kysely";

const statements = [
  // The MAC key is sealed with a key that is not in the database. A key without a number of uses is not counted, so that registrations
  // do not wait for its row. The constraint makes the number exact: a registration that would exceed it makes no account.
  `create table external_account_key (
     id text collate "C" primary key check (id ~ '^[A-Za-z0-9._~-]{1,100}$'),
     directory text not null,
     sealed_mac_key bytea not null,
     description text,
     identifiers jsonb,
     profiles text[],
     uses_max integer check (uses_max > 0),
     uses integer not null default 0,
     expires_at timestamptz,
     created_at timestamptz not null default now(),
     revoked_at timestamptz,
     constraint external_account_key_uses check (uses <= uses_max)
   )`,

  // What a key permitted when the account was made stands in the account, and never changes: processes may keep it with its JWK.
  `alter table account
     add column terms_of_service text,
     add column external_account_key_id text collate "C",
     add column external_account_binding json,
     add column allowed_identifiers jsonb,
     add column allowed_profiles text[]`,
  `create index account_external_account_key on account (external_account_key_id, id) where external_account_key_id is not null`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  for (const statement of [
    `drop index account_external_account_key`,
    `alter table account
       drop column terms_of_service, drop column external_account_key_id, drop column external_account_binding,
       drop column allowed_identifiers, drop column allowed_profiles`,
    `drop table external_account_key`,
  ]) {
    await sql.raw(statement).execute(db);
  }
}
