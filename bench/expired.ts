/** Rows that time has ended, as many as a year of neglect would leave: they must not make an issuance slower while a job removes them. */
import pg from "pg";

/** What is put in: an order, its authorization and one used piece of evidence for each, all a month old. */
const statements = [
  `insert into account (id, jwk_thumbprint, jwk)
   select gen_random_uuid(), sha256(n::text::bytea), '{}' from generate_series(1, 100) n`,
  // Ids as UUIDv7 of a month ago: the job goes by their time.
  `create temporary table expired as
   select (lpad(to_hex(((extract(epoch from now()) - 30 * 86400) * 1000)::bigint + n), 12, '0') || substr(md5(n::text), 1, 20))::uuid as id,
          (select array_agg(id) from account where jwk = '{}') as accounts, n
   from generate_series(1, $1::integer) n`,
  `insert into acme_authorization (id, account_id, order_id, identifier_type, identifier_value, profile, status, expires_at, challenges)
   select id, accounts[n % 100 + 1], id, 'dns', n || '.expired.test', 'server', 'pending', now() - interval '29 days', '[]' from expired`,
  `insert into acme_order (id, account_id, status, identifiers, authorization_ids, authorizations_pending, profile, profile_hash, expires_at)
   select id, accounts[n % 100 + 1], 'pending', '[]', array[id], 1, 'server', '', now() - interval '29 days' from expired`,
  `insert into evidence_use (one_time_id, source, authorization_id, replay_until)
   select sha256(id::text::bytea), 'dev', id, now() - interval '29 days' from expired`,
  "analyze",
];

/** Fills the database before the load begins. */
export async function putExpired(databaseUrl: string, count: number): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  for (const text of statements) await client.query(text, text.includes("$1") ? [count] : []);
  await client.end();
}

/** How many of the orders are still there. */
export async function expiredLeft(databaseUrl: string): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query<{ left: number }>(
    "select count(*)::int as left from acme_order where expires_at < now() - interval '20 days'",
  );
  await client.end();
  return rows[0]?.left ?? 0;
}
