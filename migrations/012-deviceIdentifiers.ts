/** Permanent identifiers of devices (draft-ietf-acme-device-attest): an identifier type, a name of certificates, a kind of identity. */
import { sql, type Kysely } from "kysely";

const statements = [
  `alter table acme_authorization
     drop constraint acme_authorization_identifier_type_check,
     add constraint acme_authorization_identifier_type_check
       check (identifier_type in ('dns', 'ip', 'uri', 'permanent-identifier'))`,
  `alter table identity
     drop constraint identity_kind_check,
     add constraint identity_kind_check check (kind in ('spiffe', 'device', 'names'))`,
  `alter table issuance_intent add column permanent_identifier text`,
  `alter table certificate add column permanent_identifier text collate "C"`,
  `create index certificate_permanent_identifier on certificate (permanent_identifier, issued_at)
     where permanent_identifier is not null`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  const undo = [
    `drop index certificate_permanent_identifier`,
    `alter table certificate drop column permanent_identifier`,
    `alter table issuance_intent drop column permanent_identifier`,
    `alter table identity drop constraint identity_kind_check,
       add constraint identity_kind_check check (kind in ('spiffe', 'names'))`,
    `alter table acme_authorization drop constraint acme_authorization_identifier_type_check,
       add constraint acme_authorization_identifier_type_check check (identifier_type in ('dns', 'ip', 'uri'))`,
  ];
  for (const statement of undo) await sql.raw(statement).execute(db);
}
