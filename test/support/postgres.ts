/**
 * A PostgreSQL of a test file's own, on the embedded server.
 */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { startEmbeddedPostgres } from "../../src/store/embeddedPostgres.ts";
import { endPostmaster, findPostmaster, isAlive } from "../../src/store/embeddedPostmaster.ts";

const prefix = "mayfly-test-postgres-";

/**
 * Starts an empty database that goes when the test ends: about a second, so one for each test file. It does not fsync.
 * The URL is one for MAYFLY_DATABASE_URL or `pg`.
 */
export async function temporaryPostgres(t: { teardown(handler: () => Promise<void>): void }): Promise<{ url: string }> {
  await sweepPostgres();
  const directory = await mkdtemp(join(tmpdir(), `${prefix}${process.pid}-`));
  const postgres = await startEmbeddedPostgres({ directory, log: () => {}, durable: false });
  const kill = (): boolean => process.kill(postgres.pid, "SIGQUIT");
  process.once("exit", kill); // For a test file that ends before its teardown.
  t.teardown(async () => {
    process.off("exit", kill);
    await postgres.stop();
    await rm(directory, { recursive: true, force: true });
  });
  return { url: postgres.url };
}

/** Removes what test files that were killed left behind; their process id is in the name. */
export async function sweepPostgres(): Promise<void> {
  const names = (await readdir(tmpdir())).filter((name) => name.startsWith(prefix));
  for (const name of names) {
    if (await isAlive(Number(name.slice(prefix.length).split("-")[0]))) continue;
    const postmaster = await findPostmaster(join(tmpdir(), name, "cluster"));
    if (postmaster !== undefined) await endPostmaster(postmaster.pid, join(tmpdir(), name, "cluster"));
    await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}
