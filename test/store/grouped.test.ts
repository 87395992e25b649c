/** Statements that come together are committed together, and fail apart. */
import t from "tap";
import { violatedConstraint, statement, type Database } from "../../src/store/database.ts";
import { migratedDatabase, query } from "../support/database.ts";

const db: Database = await migratedDatabase(t);
await query(
  db,
  "create table grouped (n integer constraint grouped_once unique, at timestamptz default now(), tx xid8 default pg_current_xact_id())",
);
const insert = statement(
  "grouped_insert",
  "insert into grouped (n) select $1::integer where $1::integer >= 0 returning n, tx::text",
);

const insertAll = (numbers: readonly number[]) =>
  Promise.allSettled(numbers.map((n) => db.runGrouped<{ n: number; tx: string }>(insert, [n])));
const stored = async (): Promise<number[]> =>
  (await query<{ n: number }>(db, "select n from grouped order by n")).map(({ n }) => n);
const empty = () => query(db, "truncate grouped");
const range = (length: number) => Array.from({ length }, (_, n) => n);

t.test("each gets its own rows, in far fewer transactions than statements", async (t) => {
  const outcomes = await insertAll(range(60));
  t.same(
    outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value.map(({ n }) => n) : outcome.reason)),
    range(60).map((n) => [n]),
  );
  t.same(await stored(), range(60));
  const [count] = await query<{ n: number }>(db, "select count(distinct tx) as n from grouped");
  t.ok((count?.n ?? 60) <= 10, `${count?.n} transactions`);
  await empty();
});

t.test("a statement that does nothing has no rows, beside others that have some", async (t) => {
  const outcomes = await insertAll([1, -1, 2, -2, 3, -3, 4]);
  t.same(
    outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value.length : "failed")),
    [1, 0, 1, 0, 1, 0, 1],
  );
  await empty();
});

t.test("one that fails fails alone, with its own error; the others are there once", async (t) => {
  await db.run(insert, [7]);
  const numbers = [...range(30), 7, 13, 7];
  const outcomes = await insertAll(numbers);
  const failed = outcomes.flatMap((outcome, index) =>
    outcome.status === "rejected" ? [[numbers[index], violatedConstraint(outcome.reason)]] : [],
  );
  t.equal(failed.filter(([n]) => n === 7).length, 3, "it was there before");
  t.equal(failed.filter(([n]) => n === 13).length, 1, "of two one");
  t.equal(failed.length, 4);
  t.ok(failed.every(([, constraint]) => constraint === "grouped_once"));
  t.same(await stored(), range(30));
  await empty();
});

t.test("a connection that is lost: nobody is told that it was done, and nothing is sent again", async (t) => {
  const slow = statement(
    "grouped_slow",
    "insert into grouped (n) select $1::integer from (select pg_sleep(0.3)) s returning n, tx::text",
  );
  const first = Promise.allSettled(range(2).map((n) => db.runGrouped(slow, [n])));
  const group = Promise.allSettled(range(8).map((n) => db.runGrouped(slow, [100 + n])));
  await first;
  // The group of eight is under way on one connection: that is ended from outside.
  await new Promise((resolve) => void setTimeout(resolve, 100));
  await query(
    db,
    `select pg_terminate_backend(pid) from pg_stat_activity
     where pid <> pg_backend_pid() and state = 'active' and query like '%pg_sleep(0.3)%'`,
  );
  const outcomes = await group;
  t.ok(
    outcomes.some(({ status }) => status === "rejected"),
    "the one whose connection it was",
  );
  const told = outcomes.flatMap((outcome, n) => (outcome.status === "fulfilled" ? [100 + n] : []));
  t.same(
    (await stored()).filter((n) => n >= 100),
    told,
    "what is there is what was said to be",
  );
});
