/** The README's table of clients is the record's, and the record knows every client that is tested. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { capabilities, readRecord, tableOf, withTable } from "./clientRecord.ts";
import { repository } from "./program.ts";

const record = readRecord();

t.test("the table in the README is the record's: npm run clients:table makes both", async (t) => {
  const readme = readFileSync(join(repository, "README.md"), "utf8");
  t.equal(withTable(readme, tableOf(record)), readme);
  t.not(withTable(readme, tableOf(record.slice(1))), readme, "and would not be another's");
});

t.test("every client that is tested is in it once", async (t) => {
  const folder = join(repository, "test/e2e/clients");
  const tested = readdirSync(folder).filter((name) => name.endsWith(".test.ts"));
  const named = tested.map((file) => /client: "([^"]+)"/.exec(readFileSync(join(folder, file), "utf8"))?.[1] ?? file);
  t.strictSame(record.map(({ client }) => client).sort(), named.sort());
});

t.test("every capability works, or is said not to, with a reason", async (t) => {
  for (const { client, version, works, cannot } of record) {
    t.match(version, /^\d/, client);
    t.strictSame([...works, ...Object.keys(cannot)].sort(), [...capabilities].sort(), client);
    for (const reason of Object.values(cannot)) t.match(reason, /\w/, client);
  }
});
