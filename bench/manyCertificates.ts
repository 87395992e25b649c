/** Certificates in a database, as many as a fleet has at a time, put there by Postgres itself: each has evidence of a source, and ends at some time ahead. */
import type { Database } from "../src/store/database.ts";

export interface ManyCertificates {
  readonly count: number;
  /** Of all the last to end, in seconds from now. */
  readonly lifetimeSeconds: number;
  readonly source: string;
  readonly grant: string;
  /** The account that ordered them. */
  readonly accountId: string;
  readonly issuerId: string;
  /** How many identities they are of. */
  readonly identities: number;
}

const identities = `insert into identity (id, kind, name, first_issued_at, last_issued_at, newest_serial)
  select gen_random_uuid(), 'spiffe', 'spiffe://mayfly.test/' || $1::text || '/' || n, now(), now(), '\\x00'
  from generate_series(1, $2::integer) n on conflict do nothing`;

// Like those that are issued: some 700 octets of DER and as many of evidence. The serial's first octets are the day of the end.
const certificates = `insert into certificate (serial, fingerprint, der, issuer_id, identity_id, door, order_id, account_id, spiffe_id, dns_names,
     ip_addresses, profile, profile_hash, spki_sha256, evidence, not_before, not_after, issued_at)
  select '\\x4f00'::bytea || substr(sha256((c.source || n)::bytea), 1, 14), sha256(n::text::bytea), d.der, c.issuer, i.id, 'acme', gen_random_uuid(),
     c.account, i.name, '{}', '{}', 'workload', sha256('workload'), sha256((c.source || n)::bytea),
     jsonb_build_array(jsonb_build_object('identifier', jsonb_build_object('type', 'uri', 'value', i.name), 'proved', jsonb_build_object(
       'by', 'attestation', 'record', jsonb_build_object('source', c.source, 'grant', c.grant, 'grantVersion', 'v1', 'format', 'jwt', 'digest',
         encode(sha256(n::text::bytea), 'hex'), 'bindingLevel', 'key', 'claims', jsonb_build_object('sub', i.name, 'pod', repeat('x', 300)))))),
     now() - interval '1 minute', now() + c.lifetime * (n::float / c.count), now() - interval '1 second'
  from (select $1::text as source, $2::text as grant, $3::uuid as account, $4::uuid as issuer, make_interval(secs => $5) as lifetime,
               $6::integer as identities, $7::integer as count, $8::integer as first, $9::integer as last) c
  join lateral generate_series(c.first, c.last) n on true
  join lateral (select decode(repeat(md5(n::text), 44), 'hex') as der) d on true
  join identity i on i.name = 'spiffe://mayfly.test/' || c.source || '/' || (n % c.identities + 1)`;

/** Rows in one statement. */
const atOnce = 20_000;

export async function putCertificates(db: Database, many: ManyCertificates): Promise<void> {
  const { count, lifetimeSeconds, source, grant, accountId, issuerId } = many;
  await db.run({ name: "", text: identities }, [source, many.identities]);
  for (let first = 1; first <= count; first += atOnce) {
    const last = Math.min(count, first + atOnce - 1);
    const values = [source, grant, accountId, issuerId, lifetimeSeconds, many.identities, count, first, last];
    await db.run({ name: "", text: certificates }, values);
  }
  await db.run({ name: "", text: "analyze certificate" }, []);
}
