import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { openPseudonyms } from "../../src/keys/pseudonym.ts";

const folder = await mkdtemp(join(tmpdir(), "mayfly-pseudonym-"));
t.teardown(() => rm(folder, { recursive: true }));

t.test("the same in, the same out; another key, other pseudonyms and another mark", async (t) => {
  const first = await openPseudonyms(join(folder, "key"));
  const again = await openPseudonyms(join(folder, "key"));
  const other = await openPseudonyms(join(folder, "other"));
  t.equal((await stat(join(folder, "key"))).mode & 0o777, 0o600);
  const pseudonym = first.of("task", "idp", "order-1932");
  t.equal(pseudonym.length, 36);
  t.ok(pseudonym.subarray(0, 4).equals(first.mark));
  t.ok(again.of("task", "idp", "order-1932").equals(pseudonym));
  t.notOk(other.of("task", "idp", "order-1932").subarray(4).equals(pseudonym.subarray(4)));
  t.notOk(other.mark.equals(first.mark));
});

t.test("parts do not run into each other", async (t) => {
  const pseudonyms = await openPseudonyms(join(folder, "key"));
  const all = [["a", "b"], ["ab"], ["a", "b", ""], ["", "a", "b"], ['a","b'], ["a,b"]].map((parts) =>
    pseudonyms.of(...parts).toString("hex"),
  );
  t.equal(new Set(all).size, all.length);
});

t.test("a file that holds no key is refused, by its name", async (t) => {
  await writeFile(join(folder, "short"), "abc\n", { mode: 0o600 });
  await t.rejects(openPseudonyms(join(folder, "short")), /pseudonym key file .*short does not hold 32 octets/);
});
