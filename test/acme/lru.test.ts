import t from "tap";
import { createLru } from "../../src/acme/lru.ts";

t.test("it forgets what was used longest ago", async (t) => {
  const lru = createLru<string, number>(3);
  for (const [n, key] of ["a", "b", "c"].entries()) lru.set(key, n);
  t.equal(lru.get("a"), 0, "now a is fresh");
  lru.set("d", 3);
  t.same(
    ["a", "b", "c", "d"].map((key) => lru.get(key)),
    [0, undefined, 2, 3],
  );
  lru.set("a", 9);
  lru.set("e", 4);
  t.same(
    ["a", "c", "d", "e"].map((key) => lru.get(key)),
    [9, undefined, 3, 4],
    "setting is a use as well",
  );
  lru.delete("a");
  t.equal(lru.get("a"), undefined);
});

t.test("it never holds more than its limit", async (t) => {
  const lru = createLru<number, number>(10);
  for (let n = 0; n < 1000; n++) lru.set(n, n);
  t.equal(Array.from({ length: 1000 }, (_, n) => lru.get(n)).filter((n) => n !== undefined).length, 10);
});
