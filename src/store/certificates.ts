/** Certificates as ACME sees them (RFC 8555 §7.4.2, §7.6): implements `CertificateStore` of the ACME room. */
import type { CertificateStore, Identifier, StoredCertificate } from "../acme/ports.ts";
import type { AccountStatus } from "../acme/state.ts";
import { sqlState, statement, type Database } from "./database.ts";

interface CertificateRow {
  serial: Buffer;
  der: Buffer;
  issuer_id: string;
  account_id: string | null;
  dns_names: string[];
  ip_addresses: string[];
  spiffe_id: string | null;
}

const columns = "serial, der, issuer_id, account_id, dns_names, ip_addresses, spiffe_id";

const readOwned = statement(
  "certificate_read_owned",
  `select a.status as account_status, c.serial, c.der, c.issuer_id, c.account_id, c.dns_names, c.ip_addresses, c.spiffe_id
   from account a left join certificate c on c.serial = $2 and c.account_id = a.id
   where a.id = $1`,
);
const bySerial = statement("certificate_by_serial", `select ${columns} from certificate where serial = $1`);

const holds = statement(
  "certificate_holds_authorizations",
  `select count(*)::int as held
   from unnest($2::text[], $3::text[]) as wanted(type, value)
   where exists (
     select from acme_authorization z
     where z.account_id = $1 and z.status = 'valid' and z.expires_at > now()
       and z.identifier_type = wanted.type
       and z.identifier_value = case when wanted.value like '*.%' then substr(wanted.value, 3) else wanted.value end
       and z.wildcard = (wanted.value like '*.%'))`,
);

const revoke = statement(
  "certificate_revoke",
  `with revoked as (
     insert into revocation (serial, revoked_at, reason, revoked_by)
     select $1, date_trunc('second', now()), $2, $3
     where $4::uuid is null or exists (select from account where id = $4 and status = 'valid')
     returning serial, reason
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'certificate.revoked', $3, 'certificate:' || encode(serial, 'hex'), jsonb_build_object('reason', reason) from revoked
   ), event as (
     insert into outbox (topic, payload)
     select 'certificate.revoked', jsonb_build_object('serial', encode(serial, 'hex'), 'reason', reason, 'by', $3::text) from revoked
   )
   select serial from revoked`,
);

const certificateOf = (row: CertificateRow): StoredCertificate => ({
  serial: row.serial,
  der: row.der,
  issuerId: row.issuer_id,
  accountId: row.account_id,
  dnsNames: row.dns_names,
  ipAddresses: row.ip_addresses,
  spiffeId: row.spiffe_id,
});

export function createCertificateStore(db: Database): CertificateStore {
  return {
    async readCertificate(accountId, serial) {
      type Row = { [Key in keyof CertificateRow]: CertificateRow[Key] | null } & { account_status: AccountStatus };
      const [row] = await db.run<Row>(readOwned, [accountId, serial]);
      const object = row === undefined || row.serial === null ? undefined : certificateOf(row as CertificateRow);
      return { status: row?.account_status, object };
    },
    async findCertificate(serial) {
      const [row] = await db.run<CertificateRow>(bySerial, [serial]);
      return row && certificateOf(row);
    },
    async holdsAuthorizations(accountId, identifiers: readonly Identifier[]) {
      const values = [accountId, identifiers.map(({ type }) => type), identifiers.map(({ value }) => value)];
      const [row] = await db.run<{ held: number }>(holds, values);
      return identifiers.length > 0 && row?.held === identifiers.length;
    },
    async revoke({ serial, reason, revokedBy, requireAccount }) {
      try {
        const rows = await db.run(revoke, [serial, reason ?? null, revokedBy, requireAccount ?? null]);
        return rows.length === 1 ? "revoked" : "accountNotValid";
      } catch (error) {
        if (sqlState(error) === "23505") return "alreadyRevoked"; // The key of `revocation`: revoked once, whoever races.
        throw error;
      }
    },
  };
}
