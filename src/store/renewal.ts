/** Renewal information and predecessors (RFC 9773): implements `RenewalStore` of the ACME room. */
import type { Predecessor, RenewalStore } from "../acme/renewalPorts.ts";
import { statement, type Database } from "./database.ts";
import { covers } from "./incidentCover.ts";
import { isOf, isSigner, signerValues } from "./signer.ts";

// What no account ordered (the listener's own certificate) belongs to the directory that is always there.
const readRenewal = statement(
  "renewal_read",
  `select c.serial, c.not_before, c.not_after, c.issued_at, r.revoked_at, i.created_at as incident_since, i.explanation_url
   from certificate c
   left join account a on a.id = c.account_id
   left join revocation r on r.serial = c.serial
   left join lateral (
     select i.created_at, i.explanation_url from incident i where ${covers("i", "c")}
     order by i.explanation_url is null, i.created_at limit 1
   ) i on true
   where c.serial = $2 and c.issuer_id = any($3::uuid[]) and coalesce(a.directory, 'default') = $1`,
);

const readPredecessor = statement(
  "predecessor_read",
  `select c.dns_names, c.ip_addresses, c.spiffe_id, c.permanent_identifier from account a join certificate c on ${isOf("c", "a.id")}
   where ${isSigner("a", 1)} and c.serial = $4 and c.issuer_id = any($5::uuid[])`,
);

interface RenewalRow {
  serial: Buffer;
  not_before: Date;
  not_after: Date;
  issued_at: Date;
  revoked_at: Date | null;
  incident_since: Date | null;
  explanation_url: string | null;
}

interface PredecessorRow {
  dns_names: string[];
  ip_addresses: string[];
  spiffe_id: string | null;
  permanent_identifier: string | null;
}

export function createRenewalStore(db: Database): RenewalStore {
  return {
    async readRenewal(directory, serial, issuerIds) {
      const [row] = await db.run<RenewalRow>(readRenewal, [directory, serial, issuerIds]);
      if (row === undefined) return undefined;
      const { incident_since: since, explanation_url: explanationUrl } = row;
      return {
        serial: row.serial,
        notBefore: row.not_before,
        notAfter: row.not_after,
        issuedAt: row.issued_at,
        revokedAt: row.revoked_at,
        incident: since === null ? null : { since, explanationUrl },
      };
    },
    async readPredecessor(signer, serial, issuerIds): Promise<Predecessor | undefined> {
      const [row] = await db.run<PredecessorRow>(readPredecessor, [...signerValues(signer), serial, issuerIds]);
      return (
        row && {
          dnsNames: row.dns_names,
          ipAddresses: row.ip_addresses,
          spiffeId: row.spiffe_id,
          permanentIdentifier: row.permanent_identifier,
        }
      );
    },
  };
}
