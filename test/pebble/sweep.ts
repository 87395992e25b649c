/** Runs when a launcher has ended, however it ended: removes what is there of launchers and tests that do not run any more. */
import { readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive } from "../../src/store/embeddedPostmaster.ts";
import { sweepPostgres } from "../support/postgres.ts";
import { dataPrefix } from "./start.ts";

await sweepPostgres();
for (const name of await readdir(tmpdir())) {
  if (!name.startsWith(dataPrefix)) continue;
  if (await isAlive(Number(name.slice(dataPrefix.length).split("-")[0]))) continue;
  await rm(join(tmpdir(), name), { recursive: true, force: true });
}
