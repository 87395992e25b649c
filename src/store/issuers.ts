/** Issuers: implements `IssuerStore` of the authority. */
import type { IssuerStore, NewIssuer, StoredIssuer } from "../authority/ports.ts";
import { statement, type Database } from "./database.ts";

const readIssuers = statement(
  "issuer_read",
  `select id, kind, name, generation, state, certificate, request, key_label, signature_algorithm, parent_id, crl_shards, created_at,
          published_at, activated_at, retiring_at, retired_at, revoked_at
   from issuer order by created_at, array_position(array['root', 'intermediate', 'issuing'], kind), name, generation`,
);

/** Columns of a new issuer, but the times of its state. */
export const issuerColumns = `id, kind, name, generation, state, certificate, request, key_label, signature_algorithm, parent_id, crl_shards,
   not_after, spki_sha256`;

/** New issuers as rows `i`, of the parameters $1 to $13 that `issuerValues` makes. */
export const issuerRows = `unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::bytea[], $7::bytea[], $8::text[],
     $9::text[], $10::uuid[], $11::smallint[], $12::timestamptz[], $13::bytea[]) as i(${issuerColumns})`;

/** The parameters of `issuerRows`. */
export const issuerValues = (issuers: readonly NewIssuer[]): unknown[] => [
  issuers.map(({ id }) => id),
  issuers.map(({ kind }) => kind),
  issuers.map(({ name }) => name),
  issuers.map(({ generation }) => generation),
  issuers.map(({ state }) => state),
  issuers.map(({ certificate }) => certificate),
  issuers.map(({ request }) => request),
  issuers.map(({ keyLabel }) => keyLabel),
  issuers.map(({ signatureAlgorithm }) => signatureAlgorithm),
  issuers.map(({ parentId }) => parentId),
  issuers.map(({ crlShards }) => crlShards),
  issuers.map(({ notAfter }) => notAfter),
  issuers.map(({ spkiSha256 }) => spkiSha256),
];

// A state that comes later includes those before it: whatever is active was published.
const insertIssuers = statement(
  "issuer_insert",
  `insert into issuer (${issuerColumns}, published_at, activated_at)
   select i.*, case when i.state <> 'prepared' then now() end, case when i.state not in ('prepared', 'published') then now() end
   from ${issuerRows}
   where not $14 or not exists (select from issuer)
   returning id`,
);

interface IssuerRow {
  id: string;
  kind: StoredIssuer["kind"];
  name: string;
  generation: number;
  state: StoredIssuer["state"];
  certificate: Buffer | null;
  request: Buffer | null;
  key_label: string | null;
  signature_algorithm: StoredIssuer["signatureAlgorithm"];
  parent_id: string | null;
  crl_shards: number;
  created_at: Date;
  published_at: Date | null;
  activated_at: Date | null;
  retiring_at: Date | null;
  retired_at: Date | null;
  revoked_at: Date | null;
}

const issuerOf = (row: IssuerRow): StoredIssuer => ({
  id: row.id,
  kind: row.kind,
  name: row.name,
  generation: row.generation,
  state: row.state,
  certificate: row.certificate,
  request: row.request,
  keyLabel: row.key_label,
  signatureAlgorithm: row.signature_algorithm,
  parentId: row.parent_id,
  crlShards: row.crl_shards,
  createdAt: row.created_at,
  publishedAt: row.published_at,
  activatedAt: row.activated_at,
  retiringAt: row.retiring_at,
  retiredAt: row.retired_at,
  revokedAt: row.revoked_at,
});

/** Advisory lock that stands for "somebody makes issuers"; any number that nothing else uses. */
const issuersLock = 0x6d61_7966;

/** Implements `IssuerStore`. */
export function createIssuerStore(db: Database): IssuerStore {
  return {
    readIssuers: async () => (await db.run<IssuerRow>(readIssuers, [])).map(issuerOf),
    async insertIssuers(issuers, first = false) {
      const rows = await db.run(insertIssuers, [...issuerValues(issuers), first]);
      if (rows.length !== issuers.length) throw new Error("the database has a CA hierarchy already");
    },
    exclusively: (action) => db.exclusively(issuersLock, action),
  };
}
