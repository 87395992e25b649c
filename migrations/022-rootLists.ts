/** Roots have lists of revoked certificates, too: one each, of the CA certificates that they issued. */
import { sql, type Kysely } from "kysely";

const statements = [
  // A revoked certificate is one of a leaf, or a CA's, which is in `issuer`. Whoever writes here takes the serial from one of the two.
  `alter table revocation drop constraint revocation_serial_fkey`,
  `update issuer set crl_shards = 1 where kind <> 'issuing' and crl_shards <> 1`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  const undo = [
    `delete from certificate_list l using issuer i where i.id = l.issuer_id and i.kind <> 'issuing'`,
    `delete from certificate_list_shard s using issuer i where i.id = s.issuer_id and i.kind <> 'issuing'`,
    `delete from revocation r using issuer i where i.id = r.issuer_id and i.kind <> 'issuing'`,
    `alter table revocation add constraint revocation_serial_fkey foreign key (serial) references certificate`,
  ];
  for (const statement of undo) await sql.raw(statement).execute(db);
}
