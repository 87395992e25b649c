/**
 * The first schema: ACME objects, issuance with its intents, the inventory, the audit log and the outbox. PostgreSQL 15 and later.
 *
 * Rows on the issuing path carry no foreign keys: the statements that write them select their parents in the same statement
 * (an order exists only where its valid account does), and a foreign key would lock the parent row at every insert.
 */
import { sql, type Kysely } from "kysely";

const statements = [
  // RFC 8555 §7.1.2. The key is the account: the thumbprint (RFC 7638, SHA-256) is unique, so parallel newAccounts make one row.
  `create table account (
     id uuid primary key,
     jwk_thumbprint bytea not null unique check (length(jwk_thumbprint) = 32),
     jwk jsonb not null,
     status text not null default 'valid' check (status in ('valid', 'deactivated', 'revoked')),
     contact text[] not null default '{}',
     terms_agreed_at timestamptz,
     created_at timestamptz not null default now()
   )`,

  // RFC 8555 §7.1.3. authorizations_pending counts down: the row lock on the order settles which authorization is the last one.
  `create table acme_order (
     id uuid primary key,
     account_id uuid not null,
     status text not null check (status in ('pending', 'ready', 'processing', 'valid', 'invalid')),
     identifiers jsonb not null,
     authorization_ids uuid[] not null,
     authorizations_pending integer not null check (authorizations_pending >= 0),
     profile text not null,
     profile_hash bytea not null,
     not_before timestamptz,
     not_after timestamptz,
     expires_at timestamptz not null,
     error jsonb,
     certificate_serial bytea,
     created_at timestamptz not null default now()
   ) with (fillfactor = 70)`,
  `create index acme_order_of_account on acme_order (account_id, id)`,

  // RFC 8555 §7.1.4. Challenges are one JSON value: parent and child cannot disagree, one row lock settles a race.
  `create table acme_authorization (
     id uuid primary key,
     account_id uuid not null,
     order_id uuid,
     identifier_type text not null check (identifier_type in ('dns', 'ip', 'uri')),
     identifier_value text not null,
     wildcard boolean not null default false,
     profile text not null,
     status text not null check (status in ('pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked')),
     expires_at timestamptz not null,
     challenges jsonb not null,
     attestation jsonb,
     validating_since timestamptz,
     created_at timestamptz not null default now()
   ) with (fillfactor = 70)`,
  `create index acme_authorization_validating on acme_authorization (validating_since) where validating_since is not null`,

  // Evidence is used once. Pruned after replay_until, when the evidence is refused as expired anyway.
  `create table evidence_use (
     one_time_id bytea primary key check (length(one_time_id) = 32),
     source text not null,
     authorization_id uuid not null,
     replay_until timestamptz not null
   )`,
  `create index evidence_use_replay_until on evidence_use (replay_until)`,

  `create table issuer (
     id uuid primary key,
     kind text not null check (kind in ('root', 'issuing')),
     status text not null default 'active' check (status in ('active', 'retired')),
     parent_id uuid references issuer,
     certificate bytea not null unique,
     spki_sha256 bytea not null,
     key_label text not null,
     not_after timestamptz not null,
     created_at timestamptz not null default now()
   )`,

  // Written before the token is asked to sign, removed in the statement that records the certificate. A row that stays is an
  // issuance that was cut off: the settling job finishes or abandons it, and its serial is never used again either way.
  `create table issuance_intent (
     serial bytea primary key check (length(serial) between 9 and 20),
     tbs bytea not null,
     issuer_id uuid not null,
     door text not null,
     order_id uuid,
     account_id uuid,
     identity_kind text not null,
     identity_name text not null,
     spiffe_id text,
     dns_names text[] not null,
     ip_addresses text[] not null,
     profile text not null,
     profile_hash bytea not null,
     spki_sha256 bytea not null,
     evidence jsonb,
     not_before timestamptz not null,
     not_after timestamptz not null,
     created_at timestamptz not null default now(),
     tried_at timestamptz not null default now(),
     abandoned_at timestamptz
   )`,
  `create index issuance_intent_open on issuance_intent (tried_at) where abandoned_at is null`,

  // The lasting thing. Names are a SPIFFE ID, or the sorted list of DNS names and addresses.
  `create table identity (
     id uuid primary key,
     kind text not null check (kind in ('spiffe', 'names')),
     name text collate "C" not null unique,
     first_issued_at timestamptz not null,
     last_issued_at timestamptz not null,
     certificate_count bigint not null default 1,
     newest_serial bytea not null
   ) with (fillfactor = 70)`,

  // Immutable once written; a revocation is a row of its own.
  `create table certificate (
     serial bytea primary key,
     fingerprint bytea not null,
     der bytea not null,
     issuer_id uuid not null,
     identity_id uuid not null,
     door text not null,
     order_id uuid,
     account_id uuid,
     spiffe_id text collate "C",
     dns_names text[] not null,
     ip_addresses text[] not null,
     profile text not null,
     profile_hash bytea not null,
     spki_sha256 bytea not null,
     evidence jsonb,
     not_before timestamptz not null,
     not_after timestamptz not null,
     issued_at timestamptz not null
   )`,
  `create index certificate_issued on certificate (issued_at, serial)`,
  `create index certificate_not_after on certificate (not_after)`,
  `create index certificate_spiffe_id on certificate (spiffe_id, issued_at) where spiffe_id is not null`,
  `create index certificate_dns_names on certificate using gin (dns_names) where dns_names <> '{}'`,
  `create index certificate_spki on certificate using hash (spki_sha256)`,

  // RFC 8555 §7.6: revoked once, by constraint.
  `create table revocation (
     serial bytea primary key references certificate,
     revoked_at timestamptz not null,
     reason smallint,
     revoked_by text not null
   )`,

  `create table audit_entry (
     id bigint generated always as identity primary key,
     at timestamptz not null default now(),
     event text not null,
     actor text not null,
     subject text not null,
     detail jsonb not null default '{}'
   )`,

  `create table outbox (
     id bigint generated always as identity primary key,
     topic text not null,
     payload jsonb not null,
     created_at timestamptz not null default now()
   )`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql
    .raw(
      `drop table outbox, audit_entry, revocation, certificate, identity, issuance_intent, issuer, evidence_use,
                  acme_authorization, acme_order, account`,
    )
    .execute(db);
}
