/** Certificates as ACME sees them (RFC 8555 §7.4.2, §7.6): implements `CertificateStore` of the ACME room. */
import type { CertificateStore, Identifier, StoredCertificate } from "../acme/ports.ts";
import { blockCompromised } from "./blockedKeys.ts";
import { isInformed } from "./revocationInformation.ts";
import { revokeAll } from "./revocations.ts";
import { statement, violatedConstraint, type Database } from "./database.ts";
import { isOf, isSigner, ofDirectory, signerStatus, signerValues, type WithSigner } from "./signer.ts";

interface CertificateRow {
  serial: Buffer;
  der: Buffer;
  issuer_id: string;
  account_id: string | null;
  dns_names: string[];
  ip_addresses: string[];
  spiffe_id: string | null;
  permanent_identifier: string | null;
}

const columns = "serial, der, issuer_id, account_id, dns_names, ip_addresses, spiffe_id, permanent_identifier";

const readOwned = statement(
  "certificate_read_owned",
  `select ${signerStatus("a", 1)}, c.serial, c.der, c.issuer_id, c.account_id, c.dns_names, c.ip_addresses, c.spiffe_id,
     c.permanent_identifier
   from account a left join certificate c on c.serial = $4 and ${isOf("c", "a.id")}
   where ${ofDirectory("a", 1)}`,
);
const bySerial = statement("certificate_by_serial", `select ${columns} from certificate where serial = $1`);

// An authorization that stands for names below its own (RFC 9444) covers no wildcard.
const holds = statement(
  "certificate_holds_authorizations",
  `select count(*)::int as held
   from account a, (select type, value, type = 'dns' and value like '*.%' as wildcard
                    from unnest($4::text[], $5::text[]) as w(type, value)) wanted
   where ${isSigner("a", 1)} and exists (
     select from acme_authorization z
     where z.account_id = a.id and z.status = 'valid' and z.expires_at > now()
       and z.identifier_type = wanted.type
       and (z.identifier_value = case when wanted.wildcard then substr(wanted.value, 3) else wanted.value end
              and z.wildcard = wanted.wildcard
            or z.subdomains and not wanted.wildcard
              and right(wanted.value, length(z.identifier_value) + 1) = '.' || z.identifier_value))`,
);

const revoke = statement(
  "certificate_revoke",
  `with found as (
     select serial, issuer_id, not_after, ${isInformed("certificate")} as informed from certificate where serial = $1
       and ($4::uuid is null or exists (select from account a where ${isSigner("a", 4)} and a.status = 'valid'))
   ), revoked as (
     ${revokeAll("found", { reason: "$2", by: "$3", action: "$8" })}
   ), action as (
     insert into revocation_action (id, kind, subject, reason, created_by, state, closed_at, done_at, revoked, uninformed, uninformed_end,
                                    informed_end)
     select $8, 'certificate', encode(serial, 'hex'), $2, $3, 'done', now(), now(), 1, (not informed)::integer,
            case when not informed then not_after end, case when informed then not_after end
     from found
   ), blocked as (${blockCompromised("revoked", "$7", "$3")}
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'key.blocked', $3, 'key:' || encode(spki_sha256, 'hex'), jsonb_build_object('reason', 'keyCompromise') from blocked
     union all
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
  permanentIdentifier: row.permanent_identifier,
});

export function createCertificateStore(db: Database): CertificateStore {
  return {
    async readCertificate(signer, serial) {
      type Row = WithSigner<{ [Key in keyof CertificateRow]: CertificateRow[Key] | null }>;
      const [row] = await db.run<Row>(readOwned, [...signerValues(signer), serial]);
      const object = row === undefined || row.serial === null ? undefined : certificateOf(row as CertificateRow);
      return { status: row?.account_status, object };
    },
    async findCertificate(serial) {
      const [row] = await db.run<CertificateRow>(bySerial, [serial]);
      return row && certificateOf(row);
    },
    async holdsAuthorizations(signer, identifiers: readonly Identifier[]) {
      const names = [identifiers.map(({ type }) => type), identifiers.map(({ value }) => value)];
      const values = [...signerValues(signer), ...names];
      const [row] = await db.run<{ held: number }>(holds, values);
      return identifiers.length > 0 && row?.held === identifiers.length;
    },
    async revoke({ id, serial, reason, revokedBy, requireAccount, block }) {
      try {
        const rows = await db.run(revoke, [
          serial,
          reason ?? null,
          revokedBy,
          ...(requireAccount === undefined ? [null, null, null] : signerValues(requireAccount)),
          block ?? null,
          id,
        ]);
        if (rows.length === 1) return "revoked";
        if (requireAccount === undefined) throw new Error("there is no such certificate to revoke");
        return "accountNotValid";
      } catch (error) {
        if (violatedConstraint(error) === "revocation_pkey") return "alreadyRevoked"; // Once, whoever races.
        throw error;
      }
    },
  };
}
