import { readdirSync } from "node:fs";
import type { Kysely, Migration } from "kysely";
import t from "tap";
import { migrate } from "../../src/store/migrate.ts";
import { openPool, query } from "../support/database.ts";
import { temporaryPostgres } from "../support/postgres.ts";

const { url } = await temporaryPostgres(t);
const db = openPool(t, url);
const schemaBuilder = db.kysely as unknown as Kysely<unknown>; // As migrations see it.

const folder = new URL("../../migrations/", import.meta.url);
const files = readdirSync(folder)
  .filter((name) => name.endsWith(".ts"))
  .sort();
const names = files.map((file) => file.replace(/\.ts$/, ""));
const migrations = await Promise.all(
  files.map(async (file) => (await import(new URL(file, folder).href)) as Migration),
);

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
    ran.filter((some) => some.length > 0),
    [names],
  );
  t.same(await migrate(db.kysely), []);
});

t.test("every migration: down undoes what up did, and up again makes the same schema", async (t) => {
  const last = await schema();
  t.ok(last.length > 100);
  for (const migration of migrations.toReversed()) await migration.down?.(schemaBuilder);
  t.same(await schema(), []);
  for (const [index, migration] of migrations.entries()) {
    const before = await schema();
    await migration.up(schemaBuilder);
    const after = await schema();
    await migration.down?.(schemaBuilder);
    t.same(await schema(), before, `${names[index]}: down`);
    await migration.up(schemaBuilder);
    t.same(await schema(), after, `${names[index]}: up again`);
  }
  t.same(await schema(), last);
});

t.test("a migration that fails says its name and leaves no half of itself", async (t) => {
  for (const migration of migrations.toReversed()) await migration.down?.(schemaBuilder);
  await query(db, "delete from kysely_migration");
  await query(db, "create table outbox (id int)"); // In the way of the first migration's last statement.
  await t.rejects(migrate(db.kysely), {
    message: /^migration 001-firstLight failed: relation "outbox" already exists$/,
  });
  t.same(await schema(), ["outbox.id integer YES"]);
  await query(db, "drop table outbox");
  t.same(await migrate(db.kysely), names);
});
