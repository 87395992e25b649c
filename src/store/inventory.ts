/** Searches over the inventory: implements `InventoryStore`. The shape depends on the request, so kysely builds the SQL. */
import { sql, type SelectQueryBuilder } from "kysely";

import type { CertificateFilter, CertificateRecord, InventoryStore, Position } from "../inventory/ports.ts";
import { databaseTrouble, type Database } from "./database.ts";
import { covers, selects } from "./incidentCover.ts";
import type { CertificateTable, IdentityTable, RevocationTable, Tables } from "./tables.ts";

type Joined = Tables & { c: CertificateTable; r: RevocationTable; i: IdentityTable };
type CertificateQuery<Row> = SelectQueryBuilder<Joined, "c" | "r" | "i", Row>;

export function createInventoryStore(db: Database): InventoryStore {
  const certificates = () =>
    db.kysely
      .selectFrom("certificate as c")
      .innerJoin("identity as i", "i.id", "c.identity_id")
      .leftJoin("revocation as r", "r.serial", "c.serial")
      .select([
        "c.serial",
        "c.fingerprint",
        "c.der",
        "c.issuer_id as issuerId",
        "c.identity_id as identityId",
        "i.name as identity",
        "c.door",
        "c.order_id as orderId",
        "c.account_id as accountId",
        "c.spiffe_id as spiffeId",
        "c.permanent_identifier as permanentIdentifier",
        "c.dns_names as dnsNames",
        "c.ip_addresses as ipAddresses",
        "c.profile",
        "c.profile_hash as profileHash",
        "c.spki_sha256 as spkiSha256",
        "c.evidence",
        "c.not_before as notBefore",
        "c.not_after as notAfter",
        "c.issued_at as issuedAt",
        "r.revoked_at as revokedAt",
        "r.reason as revocationReason",
        "r.revoked_by as revokedBy",
        "r.action_id as revocationAction",
        "r.published_at as revocationPublishedAt",
        "r.list_number as revocationListNumber",
        sql<string | null>`(select x.note from revocation_action x where x.id = r.action_id)`.as("revocationNote"),
        "c.replaces",
        sql<Buffer | null>`(select s.serial from certificate s where s.replaces = c.serial limit 1)`.as("replacedBy"),
        sql<
          string[]
        >`array(select i.id::text from incident i where ${sql.raw(covers("i", "c"))} order by i.created_at)`.as(
          "incidents",
        ),
      ]);

  return {
    async findCertificates(filter, after, limit, now): Promise<CertificateRecord[]> {
      let query = filtered(certificates() as unknown as CertificateQuery<CertificateRecord>, filter, now);
      if (after !== undefined) query = query.where(olderThan(after));
      return await answered(query.orderBy("c.issued_at", "desc").orderBy("c.serial", "desc").limit(limit).execute());
    },
    readCertificate: async (serial) => await answered(certificates().where("c.serial", "=", serial).executeTakeFirst()),
    async findIdentities(prefix, after, limit) {
      let query = db.kysely
        .selectFrom("identity")
        .select([
          "id",
          "kind",
          "name",
          "first_issued_at as firstIssuedAt",
          "last_issued_at as lastIssuedAt",
          "certificate_count as certificateCount",
          "newest_serial as newestSerial",
        ]);
      if (prefix !== undefined) query = query.where(sql<boolean>`name ^@ ${prefix}`);
      if (after !== undefined) query = query.where(sql<boolean>`name > ${after}`);
      return await answered(query.orderBy("name").limit(limit).execute());
    },
  };
}

/** `^@` is "starts with": no pattern, so nothing a client sends is a wildcard (H-30). */
function filtered<Row>(query: CertificateQuery<Row>, filter: CertificateFilter, now: Date): CertificateQuery<Row> {
  const { spiffeId, spiffeIdPrefix, permanentIdentifier, dnsName, serial, state } = filter;
  if (spiffeId !== undefined) query = query.where("c.spiffe_id", "=", spiffeId);
  if (spiffeIdPrefix !== undefined) {
    const below = `${spiffeIdPrefix.replace(/\/$/, "")}/`;
    query = query.where(sql<boolean>`(c.spiffe_id ^@ ${below} or c.spiffe_id = ${below.slice(0, -1)})`);
  }
  if (permanentIdentifier !== undefined) query = query.where("c.permanent_identifier", "=", permanentIdentifier);
  if (dnsName !== undefined)
    query = query.where(sql<boolean>`c.dns_names @> array[${dnsName}]::text[] and c.dns_names <> '{}'`);
  if (serial !== undefined) query = query.where("c.serial", "=", serial);
  if (filter.issuedAfter) query = query.where("c.issued_at", ">=", filter.issuedAfter);
  if (filter.issuedBefore) query = query.where("c.issued_at", "<", filter.issuedBefore);
  if (filter.expiresAfter) query = query.where("c.not_after", ">=", filter.expiresAfter);
  if (filter.expiresBefore) query = query.where("c.not_after", "<", filter.expiresBefore);
  if (filter.incident !== undefined) {
    const covered = sql.raw(selects("i", "c"));
    query = query.where(
      sql<boolean>`exists (select from incident i where i.id = ${filter.incident}::uuid and ${covered})`,
    );
  }
  if (filter.delegation !== undefined) {
    const { delegation } = filter;
    query = query.where(
      sql<boolean>`c.serial in (select serial from certificate_delegation where delegator = ${delegation} or task = ${delegation})`,
    );
  }
  if (state === "revoked") query = query.where("r.serial", "is not", null);
  if (state === "valid") query = query.where("r.serial", "is", null).where("c.not_after", ">=", now);
  if (state === "expired") query = query.where("r.serial", "is", null).where("c.not_after", "<", now);
  return query;
}

/** Keyset paging: a page costs the same wherever it is. */
const olderThan = ({ at, key }: Position) =>
  sql<boolean>`(c.issued_at, c.serial) < (${at}, ${Buffer.from(key, "hex")})`;

async function answered<T>(query: Promise<T>): Promise<T> {
  try {
    return await query;
  } catch (error) {
    throw databaseTrouble(error);
  }
}
