/** docs/ceremony.md as it is printed. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";

import { runInShell } from "../support/inShell.ts";
import { repository } from "../support/program.ts";

t.setTimeout(300_000); // tap's own 30 seconds are too few for real processes on a busy machine.

t.test("the walk-throughs of ceremonies, in one shell", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-docs-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const page = await readFile(join(repository, "docs/ceremony.md"), "utf8");
  const lines = [...page.matchAll(/^```sh ceremony\n(.*?)^```$/gms)].map(([, text = ""]) => text);
  t.ok(lines.length > 8);
  const output = await runInShell(folder, lines.join("\n"), {}, 280_000);
  t.equal(output.match(/^The ceremony is done\.$/gm)?.length, 7);
  t.equal(output.match(/^The ceremony waits\.$/gm)?.length, 3);
  t.equal(output.match(/: OK$/gm)?.length, 4);
  const [first, second] = output.trimEnd().split("\n").slice(-2);
  t.match(first, /^[0-9a-f]{64}$/);
  t.equal(second, first, "the transcript's digest is that of its lines");
});
