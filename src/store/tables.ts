/** The tables that kysely queries, as TypeScript sees their rows. `test/store/tables.test.ts` holds this against the schema. */
import type { Generated } from "kysely";

export interface CertificateTable {
  serial: Buffer;
  fingerprint: Buffer;
  der: Buffer;
  issuer_id: string;
  identity_id: string;
  door: string;
  order_id: string | null;
  account_id: string | null;
  spiffe_id: string | null;
  dns_names: string[];
  ip_addresses: string[];
  profile: string;
  profile_hash: Buffer;
  spki_sha256: Buffer;
  evidence: unknown;
  not_before: Date;
  not_after: Date;
  issued_at: Date;
  replaces: Buffer | null;
  permanent_identifier: string | null;
  lineage: Buffer | null;
  renewed_from: Buffer | null;
}

export interface RevocationTable {
  serial: Buffer;
  revoked_at: Date;
  reason: number | null;
  revoked_by: string;
  issuer_id: string;
  not_after: Date;
  octet: Generated<number>;
  action_id: string | null;
  published_at: Date | null;
  list_number: number | null;
  shard: number;
}

export interface IdentityTable {
  id: string;
  kind: "spiffe" | "names";
  name: string;
  first_issued_at: Date;
  last_issued_at: Date;
  certificate_count: number;
  newest_serial: Buffer;
}

export interface OutboxTable {
  id: Generated<number>;
  topic: string;
  payload: unknown;
  created_at: Generated<Date>;
}

export interface IssuerTable {
  id: string;
  kind: "root" | "intermediate" | "issuing";
  parent_id: string | null;
  certificate: Buffer | null;
  spki_sha256: Buffer;
  key_label: string | null;
  not_after: Date | null;
  created_at: Generated<Date>;
  name: string;
  generation: number;
  state: "prepared" | "published" | "active" | "retiring" | "retired";
  signature_algorithm: string | null;
  request: Buffer | null;
  crl_shards: number;
  published_at: Date | null;
  activated_at: Date | null;
  retiring_at: Date | null;
  retired_at: Date | null;
  revoked_at: Date | null;
  revocation_reason: number | null;
}

export interface Tables {
  issuer: IssuerTable;
  certificate: CertificateTable;
  revocation: RevocationTable;
  identity: IdentityTable;
  outbox: OutboxTable;
}
