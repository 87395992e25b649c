/** `npm run clients:table`: runs the clients, records what works, and writes the table into the README. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClientEntry, folderVariable, recordFile, tableOf, withTable } from "../../support/clientRecord.ts";
import { repository } from "../../support/program.ts";

const folder = mkdtempSync(join(tmpdir(), "mayfly-clients-"));
try {
  const { status } = spawnSync(process.execPath, ["--test", "--test-concurrency=2", "test/e2e/clients/*.test.ts"], {
    cwd: repository,
    env: { TAP_TIMEOUT: "300", ...process.env, [folderVariable]: folder },
    stdio: "inherit",
  });
  const record = readdirSync(folder)
    .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as ClientEntry)
    .toSorted((a, b) => a.client.localeCompare(b.client, "en"));
  if (status === 0) {
    const readme = join(repository, "README.md");
    writeFileSync(recordFile, `${JSON.stringify(record, null, 2)}\n`);
    spawnSync(join(repository, "node_modules/.bin/oxfmt"), [recordFile], { stdio: "inherit" });
    writeFileSync(readme, withTable(readFileSync(readme, "utf8"), tableOf(record)));
  }
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
