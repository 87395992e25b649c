import t from "tap";
import { createLru } from "../../src/cache/lru.ts";

t.test("it forgets what was used longest ago", async (t) => {
  const lru = createLru<string, number>(4);
  for (const [n, key] of ["a", "b", "c", "d"].entries()) lru.set(key, n);
  t.same(
    ["b", "a", "d", "c"].map((key) => lru.get(key)),
    [1, 0, 3, 2],
  );
  lru.set("e", 4);
  t.equal(lru.get("b"), undefined);
  t.equal(lru.get("a"), 0, "now a is fresh");
  lru.set("f", 5);
  t.same(
    [...lru.entries()],
    [
      ["f", 5],
      ["a", 0],
      ["e", 4],
      ["c", 2],
    ],
    "d was not used for longest",
  );
  lru.set("c", 9);
  t.equal(lru.get("c"), 9, "an entry has one value");
  t.equal(lru.delete("c"), true);
  t.equal(lru.delete("c"), false);
  t.equal(lru.get("c"), undefined);
  lru.clear();
  t.equal(lru.size, 0);
  t.same([...lru.entries()], []);
});

for (const limit of [1, 2, 3, 10]) {
  t.test(`it holds the ${limit} that were used last, and no others`, async (t) => {
    const lru = createLru<number, number>(limit);
    const expected: number[] = [];
    for (let n = 0; n < 1000; n++) {
      const key = (n * n) % 23;
      if (n % 7 === 0) lru.delete(key);
      const at = expected.indexOf(key);
      if (at !== -1) expected.splice(at, 1);
      if (n % 7 !== 0) {
        if (n % 3 !== 0 || at === -1) lru.set(key, key);
        else lru.get(key);
        expected.unshift(key);
      }
      expected.length = Math.min(expected.length, limit);
      const kept = [...lru.entries()].map(([each]) => each);
      if (lru.size !== kept.length || kept.join() !== expected.join())
        t.fail(`${kept.join()} and not ${expected.join()} at ${n}`);
    }
    t.equal(lru.size, expected.length);
  });
}

t.test(
  "entries of their own weight: together never more than may be, and what is too heavy drives nothing out",
  async (t) => {
    const lru = createLru<string, string>(10, (value) => value.length);
    const kept = (): string => [...lru.entries()].map(([, value]) => value).join();
    for (const value of ["aaaa", "bbb", "cc"]) lru.set(value, value);
    lru.set("d", "d".repeat(11));
    t.equal(kept(), "cc,bbb,aaaa");
    lru.set("e", "ee");
    t.equal(kept(), "ee,cc,bbb");
    lru.set("cc", "c".repeat(8));
    t.equal(kept(), "cccccccc,ee");
    lru.set("e", "e".repeat(11));
    t.equal(kept(), "cccccccc", "nor is its old value left");
    lru.set("f", "f".repeat(10));
    t.equal(kept(), "ffffffffff");
  },
);
