/**
 * Issuers that follow each other: names, generations and states; a CA that waits for its certificate; what lists of revoked certificates
 * are made from.
 */
import { sql, type Kysely } from "kysely";

const statements = [
  // `name` is the line of issuers that a profile names; a line has one active issuer at a time, by constraint. An issuer without a
  // certificate waits for one that somebody else signs, and has the request for it. One without a key label has its key elsewhere.
  `alter table issuer
     drop constraint issuer_kind_check,
     add constraint issuer_kind_check check (kind in ('root', 'intermediate', 'issuing')),
     drop column status,
     add column name text not null default 'default' check (name ~ '^[a-z][a-z0-9-]{0,39}$'),
     add column generation integer not null default 1 check (generation >= 1),
     add column state text not null default 'active'
       check (state in ('prepared', 'published', 'active', 'retiring', 'retired')),
     add column signature_algorithm text,
     add column request bytea,
     add column crl_shards smallint not null default 16 check (crl_shards in (1, 2, 4, 8, 16, 32, 64, 128, 256)),
     add column published_at timestamptz,
     add column activated_at timestamptz,
     add column retiring_at timestamptz,
     add column retired_at timestamptz,
     alter column certificate drop not null,
     alter column not_after drop not null,
     alter column key_label drop not null,
     add constraint issuer_waits_for_certificate check (
       certificate is not null and not_after is not null or state = 'prepared' and request is not null),
     add constraint issuer_generation unique (kind, name, generation)`,
  `update issuer set published_at = created_at, activated_at = created_at`,
  `create unique index issuer_one_active on issuer (kind, name) where state = 'active' and kind <> 'intermediate'`,

  // The third octet of a serial number is its first random one: lists are cut by it. A revocation is published when a list that has it is.
  `alter table revocation
     add column issuer_id uuid,
     add column not_after timestamptz,
     add column octet smallint generated always as (get_byte(serial, 2)) stored,
     add column action_id uuid,
     add column published_at timestamptz,
     add column list_number bigint`,
  `update revocation r set issuer_id = c.issuer_id, not_after = c.not_after from certificate c where c.serial = r.serial`,
  `alter table revocation alter column issuer_id set not null, alter column not_after set not null, alter column octet set not null`,
  `create index revocation_unpublished on revocation (issuer_id, octet) where published_at is null`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  const undo = [
    `alter table revocation drop column issuer_id, drop column not_after, drop column octet, drop column action_id,
       drop column published_at, drop column list_number`,
    `delete from issuer where certificate is null or kind = 'intermediate' or key_label is null`,
    `drop index issuer_one_active`,
    `alter table issuer
       drop constraint issuer_generation,
       drop constraint issuer_waits_for_certificate,
       drop constraint issuer_kind_check,
       add constraint issuer_kind_check check (kind in ('root', 'issuing')),
       alter column certificate set not null,
       alter column not_after set not null,
       alter column key_label set not null,
       drop column name, drop column generation, drop column state, drop column signature_algorithm, drop column request,
       drop column crl_shards, drop column published_at, drop column activated_at, drop column retiring_at, drop column retired_at,
       add column status text not null default 'active' check (status in ('active', 'retired'))`,
  ];
  for (const statement of undo) await sql.raw(statement).execute(db);
}
