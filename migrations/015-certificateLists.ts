/** Revocation lists (RFC 5280 §5): the shard that a revoked certificate is listed in, whose turn it is to be made anew, and the lists themselves. */
import { sql, type Kysely } from "kysely";

const statements = [
  // Of an issuer's lists the one that its certificates with this octet name; an issuer never changes how many it has.
  `alter table revocation add column shard smallint`,
  `update revocation r set shard = r.octet % coalesce((select i.crl_shards from issuer i where i.id = r.issuer_id), 1)`,
  `alter table revocation
     alter column shard set not null,
     add constraint revocation_reason_check check (reason between 0 and 10 and reason not in (7, 8))`,
  `drop index revocation_unpublished`,
  `create index revocation_unpublished on revocation (issuer_id, shard) where published_at is null`,
  // With all that an entry is made from: a large list is read from this index alone.
  `create index revocation_listed on revocation (issuer_id, shard, serial)
     include (revoked_at, reason, list_number, published_at, not_after)`,

  // A row for each list that there is to be, made when its issuer is published. Every attempt at a list takes a number of its own, which nobody
  // gets again; only the newest attempt can be published.
  `create table certificate_list_shard (
     issuer_id uuid not null references issuer,
     shard smallint not null check (shard between 0 and 255),
     attempted bigint not null default 0,
     taken_until timestamptz,
     published bigint check (published <= attempted),
     this_update timestamptz,
     due_at timestamptz,
     primary key (issuer_id, shard),
     check ((published is null) = (this_update is null) and (published is null) = (due_at is null))
   ) with (fillfactor = 50)`,

  `create table certificate_list (
     issuer_id uuid not null references issuer,
     shard smallint not null,
     number bigint not null check (number > 0),
     this_update timestamptz not null,
     next_update timestamptz not null check (next_update > this_update),
     entries integer not null check (entries >= 0),
     der bytea not null,
     sha256 bytea not null check (length(sha256) = 32),
     published_at timestamptz not null,
     primary key (issuer_id, shard, number)
   )`,
  // Signed octets do not get smaller, and parts of them can be read where they are kept as they are.
  `alter table certificate_list alter column der set storage external`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  const undo = [
    `drop table certificate_list, certificate_list_shard`,
    `drop index revocation_listed, revocation_unpublished`,
    `alter table revocation drop constraint revocation_reason_check, drop column shard`,
    `create index revocation_unpublished on revocation (issuer_id, octet) where published_at is null`,
  ];
  for (const statement of undo) await sql.raw(statement).execute(db);
}
