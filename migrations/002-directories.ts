/**
 * Accounts belong to a directory; authorizations can be made without an order (RFC 8555 §7.4.1), shared by orders, and stand for the
 * names below their own (RFC 9444); keys that were an account's are remembered (RFC 8555 §11.1).
 */
import { sql, type Kysely } from "kysely";

const statements = [
  `alter table account add column directory text not null default 'default'`,
  `alter table account drop constraint account_jwk_thumbprint_key`,
  `alter table account add constraint account_key unique (jwk_thumbprint, directory)`,
  // Whether newOrder has to look for authorizations that are there already.
  `alter table account add column pre_authorizes boolean not null default false`,

  `create table account_former_key (
     jwk_thumbprint bytea not null check (length(jwk_thumbprint) = 32),
     account_id uuid not null,
     replaced_at timestamptz not null default now(),
     primary key (jwk_thumbprint, account_id)
   )`,

  `alter table acme_authorization add column subdomains boolean not null default false`,
  // For newOrder, which looks for an authorization that is there, and for revocation by whoever holds all authorizations. No status in
  // it: what changes the status stays a change of one row and no index.
  `create index acme_authorization_of_account on acme_authorization (account_id, identifier_value)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  for (const statement of [
    `drop index acme_authorization_of_account`,
    `alter table acme_authorization drop column subdomains`,
    `drop table account_former_key`,
    `alter table account drop constraint account_key`,
    `alter table account add constraint account_jwk_thumbprint_key unique (jwk_thumbprint)`,
    `alter table account drop column directory`,
    `alter table account drop column pre_authorizes`,
  ]) {
    await sql.raw(statement).execute(db);
  }
}
