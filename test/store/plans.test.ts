/**
 * How Postgres finds what a statement looks for by its id. Plans are made once for each connection, on whatever the tables hold then: on a
 * fresh server an index of the account's objects costs as little as the key, and later on it finds all that an account ever ordered.
 */
import pg from "pg";
import t from "tap";
import { acmeDriver } from "../support/acmeDriver.ts";
import { issued } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { inline, order } from "../support/inlineFlows.ts";
import * as orderSql from "../../src/store/orderStatements.ts";

async function openClient(owner: { teardown(act: () => Promise<void>): unknown }, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  owner.teardown(() => client.end());
  return client;
}

t.test("what is found by its id is not looked for among all that its account has", async (t) => {
  const ca = await certificateAuthority(t);
  const client = await openClient(t, ca.databaseUrl);
  await client.query("set plan_cache_mode = force_generic_plan; set enable_seqscan = off");
  const statements = [
    orderSql.readOrder,
    orderSql.readForFinalize,
    orderSql.readAuthorization,
    orderSql.beginValidation,
    orderSql.attested,
  ];
  for (const { name, text } of statements) {
    const parameters = Math.max(...[...text.matchAll(/\$(\d+)/g)].map(([, n]) => Number(n)));
    await client.query(`prepare ${name} as ${text}`);
    const values = Array.from({ length: parameters }, () => "null").join(", ");
    const { rows } = await client.query<Record<string, string>>(`explain execute ${name}(${values})`);
    const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
    t.match(plan, /acme_(order|authorization)_pkey/, name);
    t.notMatch(plan, /acme_(order|authorization)_of_account/, name);
  }
});

t.test("an issuance reads no more rows when its account has ordered a hundred times", async (t) => {
  const ca = await certificateAuthority(t);
  const client = await openClient(t, ca.databaseUrl);
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  /** Rows of orders and authorizations that indexes led to, over all sessions. */
  const fetched = async (): Promise<number> => {
    await client.query("select pg_stat_force_next_flush(), pg_stat_clear_snapshot()");
    await new Promise((resolve) => void setTimeout(resolve, 1_100)); // Sessions hand their counts in about once a second.
    const { rows } = await client.query<{ n: string }>(
      "select sum(idx_tup_fetch) as n from pg_stat_user_tables where relname in ('acme_order', 'acme_authorization')",
    );
    return Number(rows[0]?.n);
  };
  const cost = async (): Promise<number> => {
    const before = await fetched();
    for (let i = 0; i < 10; i++) await issued(ca, alice);
    return (await fetched()) - before;
  };
  await issued(ca, alice);
  const first = await cost();
  for (let i = 0; i < 100; i++) await order(alice, acme, await inline(ca, acme, alice));
  const then = await cost();
  t.ok(then <= first * 1.5, `${first} rows for ten issuances, and ${then} after a hundred more orders`);
});
