/**
 * One server per data directory, however the one before ended.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import t from "tap";

import { claimDataDirectory } from "../../src/store/embeddedClaim.ts";

const source = resolve(import.meta.dirname, "../../src/store/embeddedClaim.ts");
const inUse = { message: /in use by another Mayfly server/u };

await t.test("a directory is claimed by one process at a time", async (t) => {
  const parent = await mkdtemp(join(tmpdir(), "mayfly-claim-"));
  t.teardown(async () => rm(parent, { recursive: true }));
  const directory = join(parent, "data");
  const script = `
    const { claimDataDirectory } = await import(${JSON.stringify(source)});
    await claimDataDirectory(${JSON.stringify(directory)});
    globalThis.gc();
    console.log("claimed");
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--expose-gc", "--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  await once(child.stdout, "data");
  t.equal((await stat(directory)).mode & 0o777, 0o700);
  await t.rejects(claimDataDirectory(directory), inUse, "the handle was dropped and collected, the claim stands");

  child.kill("SIGKILL");
  await once(child, "exit");
  const claim = await claimDataDirectory(directory);
  await t.rejects(claimDataDirectory(directory), inUse, "a second claim of the same process is one too many as well");
  claim.release();
  claim.release();
  (await claimDataDirectory(directory)).release();
});
