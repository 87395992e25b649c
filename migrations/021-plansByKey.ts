/**
 * Indexes of revocations that are the best choice whatever the table holds: a plan that is made while it has a few rows is kept by a connection, and
 * then a large index that has all columns costs as little as the small one that has the rows.
 */
import { sql, type Kysely } from "kysely";

const statements = [
  // With all that a list needs of what is on none yet, as `revocation_listed` has: never dearer than that one, with which it shares its first columns.
  `drop index revocation_unpublished`,
  `create index revocation_unpublished on revocation (issuer_id, shard, serial) include (revoked_at, reason, list_number)
     where published_at is null`,
  // And with all that OCSP says. Of indexes that cost the same Postgres takes the newest.
  `alter table revocation
     drop constraint revocation_pkey,
     add constraint revocation_pkey primary key (serial) include (revoked_at, reason)`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  const undo = [
    `alter table revocation drop constraint revocation_pkey, add constraint revocation_pkey primary key (serial)`,
    `drop index revocation_unpublished`,
    `create index revocation_unpublished on revocation (issuer_id, shard) where published_at is null`,
  ];
  for (const statement of undo) await sql.raw(statement).execute(db);
}
