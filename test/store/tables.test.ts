import { readFileSync } from "node:fs";
import t from "tap";
import { migratedDatabase, query } from "../support/database.ts";

const source = readFileSync(new URL("../../src/store/tables.ts", import.meta.url), "utf8");

/** PostgreSQL's type of each TypeScript type, as `pg` reads and writes it. */
const types: Readonly<Record<string, readonly string[]>> = {
  Buffer: ["bytea"],
  Date: ["timestamp with time zone"],
  string: ["text", "uuid"],
  number: ["bigint", "smallint", "integer"],
  "string[]": ["ARRAY"],
  unknown: ["jsonb"],
};

interface Column {
  column_name: string;
  data_type: string;
  is_nullable: "YES" | "NO";
  filled: boolean;
}

/** The interfaces of tables.ts by table name. */
function declaredTables(): Map<string, Map<string, string>> {
  const interfaces = new Map<string, Map<string, string>>();
  for (const [, name = "", body = ""] of source.matchAll(/^export interface (\w+) \{\n(.*?)^\}/gms)) {
    const members = [...body.matchAll(/^ {2}(\w+): (.+);$/gm)].map(([, key = "", type = ""]) => [key, type] as const);
    interfaces.set(name, new Map(members));
  }
  const tables = interfaces.get("Tables") ?? new Map<string, string>();
  return new Map([...tables].map(([table, name]) => [table, interfaces.get(name) ?? new Map<string, string>()]));
}

t.test("the rows that kysely knows are those of the schema: same columns, types, nulls and defaults", async (t) => {
  const db = await migratedDatabase(t);
  const declared = declaredTables();
  t.same([...declared.keys()].sort(), ["certificate", "identity", "issuer", "outbox", "revocation"]);
  for (const [table, columns] of declared) {
    const actual = await query<Column>(
      db,
      `select column_name, data_type, is_nullable, column_default is not null or is_identity = 'YES' or is_generated = 'ALWAYS' as filled
       from information_schema.columns where table_schema = 'public' and table_name = $1`,
      [table],
    );
    t.same([...columns.keys()].sort(), actual.map((column) => column.column_name).sort(), table);
    for (const { column_name, data_type, is_nullable, filled } of actual) {
      const declaredType = columns.get(column_name) ?? "";
      const inner = /^Generated<(.+)>$/.exec(declaredType)?.[1] ?? declaredType;
      const [type = "", ...rest] = inner.split(" | ").filter((part) => part !== "null");
      const expected = types[type.startsWith('"') ? "string" : type] ?? [];
      t.ok(
        rest.every((part) => part.startsWith('"')) && expected.includes(data_type),
        `${table}.${column_name}: ${data_type}`,
      );
      if (type !== "unknown") t.equal(inner.includes("| null"), is_nullable === "YES", `${table}.${column_name} null`);
      // A default that the code never relies on may be left undeclared; a declared one must be there.
      if (declaredType.startsWith("Generated<")) t.equal(filled, true, `${table}.${column_name} has a default`);
    }
  }
});
