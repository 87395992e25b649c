/** Two statements that lock each other out: Postgres ends one of them, and the store sends that one again. */
import t from "tap";
import { openDatabase, statement } from "../../src/store/database.ts";
import { openPool, query } from "../support/database.ts";
import { temporaryPostgres } from "../support/postgres.ts";

const { url } = await temporaryPostgres(t);
const db = openPool(t, url);
await query(db, "create table pair (id int primary key, changes int not null default 0)");
await query(db, "insert into pair values (1), (2)");

/** Locks one row, waits, and locks the other, in one statement. */
const both = (first: number, second: number) =>
  statement(
    `both_${first}_${second}`,
    `with a as materialized (select id from pair where id = ${first} for update), w as materialized (select pg_sleep(0.3) from a),
          b as materialized (select id from pair, w where id = ${second} for update)
     update pair set changes = changes + 1 from b where pair.id in (${first}, ${second}) returning pair.id`,
  );

t.test("H-29 a deadlock's victim is sent again: both statements happen, each once", async (t) => {
  const sent = db.statistics.statements;
  const done = await Promise.all([db.run(both(1, 2), []), db.run(both(2, 1), [])]);
  t.ok(db.statistics.statements - sent > 2, "one of them was sent twice");
  const changed = done.map((rows) => rows.length);
  t.same(changed, [2, 2]);
  t.same(await query(db, "select distinct changes from pair"), [{ changes: 2 }]);
});

t.test("H-29 one that is ended again and again is 503 in the end, not for ever", async (t) => {
  const always = statement("always", "do $$ begin raise exception using errcode = '40P01'; end $$");
  const counting = openDatabase({ address: { url }, poolSize: 2, statementTimeoutMs: 5000, onError: () => undefined });
  t.teardown(() => counting.close());
  await t.rejects(counting.run(always, []), { code: "unavailable" });
  t.equal(counting.statistics.statements, 3);
});
