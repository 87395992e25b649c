import t from "tap";
import { Problem } from "../../src/problem/problem.ts";
import { readPage } from "../../src/rest/page.ts";

const numbers = Array.from({ length: 2000 }, (_, n) => n);
/** A page from the number `from` on. */
const page = (asked: string | undefined, from = 0) =>
  readPage(
    asked,
    async (most) => numbers.slice(from, from + most),
    (last, size) => `${last} of ${size}`,
  );

t.test("a page has as many entries as are asked for, and says where the next one begins", async (t) => {
  t.same(await page("2"), { entries: [0, 1], next: "1 of 2" });
  t.same(await page("3", 1997), { entries: [1997, 1998, 1999], next: undefined }, "the last one, though it is full");
  t.same(await page("3", 2000), { entries: [], next: undefined });
  t.equal((await page(undefined)).entries.length, 100);
  t.equal((await page("1000")).entries.length, 1000);
});

t.test("more than a page may have is refused before anything is looked for", async (t) => {
  const asked = readPage("1001", () => Promise.reject(new Error("looked")), String);
  const refusal = await asked.catch((error: unknown) => error);
  t.ok(refusal instanceof Problem && refusal.status === 400);
  t.match(String(refusal), /limit must be at most 1000/);
});
