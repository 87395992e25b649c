import t from "tap";
import { createLru } from "../../src/cache/lru.ts";

t.test("it forgets what was used longest ago", async (t) => {
  const lru = createLru<string, number>(4);
  for (const [n, key] of ["a", "b", "c", "d"].entries()) lru.set(key, n);
  t.same(
    ["c", "d", "b", "a"].map((key) => lru.get(key)),
    [2, 3, undefined, undefined],
    "the half that was used last is there",
  );
  lru.set("e", 4);
  t.equal(lru.get("c"), 2, "now c is fresh");
  lru.set("f", 5);
  t.same(
    [...lru.entries()],
    [
      ["f", 5],
      ["e", 4],
      ["c", 2],
    ],
    "d was not used for longest",
  );
  lru.set("c", 9);
  t.equal(lru.get("c"), 9, "an entry has one value, whichever half it is in");
  t.equal(lru.delete("c"), true);
  t.equal(lru.delete("c"), false);
  t.equal(lru.get("c"), undefined);
  lru.clear();
  t.equal(lru.size, 0);
  t.same([...lru.entries()], []);
});

for (const limit of [1, 2, 3, 10, 11]) {
  t.test(`it never holds more than its limit of ${limit}, and always the half that was used last`, async (t) => {
    const lru = createLru<number, number>(limit);
    const half = Math.ceil(limit / 2);
    for (let n = 0; n < 1000; n++) {
      lru.set(n, n);
      const kept = [...lru.entries()].map(([key]) => key);
      if (lru.size > limit || kept.length !== lru.size) t.fail(`${lru.size} of ${limit}`);
      for (let last = Math.max(0, n - half + 1); last <= n; last++) if (!kept.includes(last)) t.fail(`${last} at ${n}`);
    }
    t.ok(lru.size >= half && lru.size <= limit);
  });
}
