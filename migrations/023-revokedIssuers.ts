/** An issuing CA that its root revoked: it issues nothing from then on, and its own lists go on. */
import { sql, type Kysely } from "kysely";

export async function up(db: Kysely<unknown>): Promise<void> {
  await sql
    .raw(
      `alter table issuer
         add column revoked_at timestamptz,
         add column revocation_reason smallint check (revocation_reason in (0, 1, 2, 3, 4, 5, 9, 10)),
         add constraint issuer_revoked_issues_nothing check (
           revoked_at is null or kind = 'issuing' and state in ('retiring', 'retired') and certificate is not null)`,
    )
    .execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql
    .raw(
      `alter table issuer drop constraint issuer_revoked_issues_nothing, drop column revoked_at, drop column revocation_reason`,
    )
    .execute(db);
}
