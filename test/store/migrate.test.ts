import type { Kysely } from "kysely";
import t from "tap";
import { down, up } from "../../migrations/001-firstLight.ts";
import { migrate } from "../../src/store/migrate.ts";
import { openPool, query } from "../support/database.ts";
import { temporaryPostgres } from "../support/postgres.ts";

const { url } = await temporaryPostgres(t);
const db = openPool(t, url);
const schemaBuilder = db.kysely as unknown as Kysely<unknown>; // As migrations see it.

/** Columns and indexes of the schema, without kysely's own tables. */
async function schema(): Promise<string[]> {
  const rows = await query<{ line: string }>(
    db,
    `select table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable as line
     from information_schema.columns where table_schema = 'public' and table_name not like 'kysely%'
     union all
     select indexdef from pg_indexes where schemaname = 'public' and tablename not like 'kysely%'
     union all
     select conrelid::regclass || ' ' || pg_get_constraintdef(oid) from pg_constraint where contype in ('c', 'f') and connamespace = 'public'::regnamespace
     order by 1`,
  );
  return rows.map(({ line }) => line);
}

t.test("migrators that start at once run each migration once; a later one runs nothing", async (t) => {
  const pools = Array.from({ length: 4 }, () => openPool(t, url, 2));
  const ran = await Promise.all(pools.map(({ kysely }) => migrate(kysely)));
  t.same(
    ran.filter((names) => names.length > 0),
    [["001-firstLight"]],
  );
  t.same(await migrate(db.kysely), []);
});

t.test("up, down and up again: down leaves nothing, and the second schema is the first", async (t) => {
  const first = await schema();
  t.ok(first.length > 100);
  await down(schemaBuilder);
  t.same(await schema(), []);
  await up(schemaBuilder);
  t.same(await schema(), first);
});

t.test("a migration that fails says its name and leaves no half of itself", async (t) => {
  await down(schemaBuilder);
  await query(db, "delete from kysely_migration");
  await query(db, "create table outbox (id int)"); // In the way of the last statement.
  await t.rejects(migrate(db.kysely), {
    message: /^migration 001-firstLight failed: relation "outbox" already exists$/,
  });
  t.same(await schema(), ["outbox.id integer YES"]);
  await query(db, "drop table outbox");
  t.same(await migrate(db.kysely), ["001-firstLight"]);
});
