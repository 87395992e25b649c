import t from "tap";
import { createSignatureBudget } from "../../../src/authority/revocation/signatureBudget.ts";

const done = async (): Promise<true> => true;

t.test("so many at once, and then so many a second", async (t) => {
  const budget = createSignatureBudget(10);
  const taken = async (nowMs: number, tries: number): Promise<number> =>
    (await Promise.all(Array.from({ length: tries }, async () => budget.take(nowMs, done)))).filter(Boolean).length;
  t.equal(await taken(5_000, 25), 10);
  t.equal(await taken(5_099, 5), 0);
  t.equal(await taken(5_100, 5), 1);
  t.equal(await taken(5_600, 25), 5);
  t.equal(await taken(60_000, 25), 10, "no more are saved up");
  t.equal(await taken(59_000, 25), 0, "a clock that is put back gives none,");
  t.equal(await taken(59_600, 25), 6, "and takes none away for longer than a second");
  t.equal(await taken(1_000, 25), 0);
  t.equal(await taken(2_000, 25), 10);
  t.equal(await createSignatureBudget(1).take(0, done), true);
});

t.test("no more under way than a second's, however long they take; one that fails makes room as well", async (t) => {
  const budget = createSignatureBudget(2);
  const gate = Promise.withResolvers<true>();
  const waiting = [budget.take(0, () => gate.promise), budget.take(0, () => gate.promise)];
  t.equal(budget.take(9_000, done), undefined);
  gate.reject(new Error("the token is away"));
  for (const one of waiting) await t.rejects(async () => await one, { message: "the token is away" });
  t.equal(await budget.take(9_000, done), true);
});

t.test("a part of a budget leaves the rest of it to others", async (t) => {
  const whole = createSignatureBudget(10);
  const half = createSignatureBudget(5, whole);
  const taken = async (budget: typeof whole, nowMs: number): Promise<number> =>
    (await Promise.all(Array.from({ length: 25 }, async () => budget.take(nowMs, done)))).filter(Boolean).length;
  t.equal(await taken(half, 5_000), 5);
  t.equal(await taken(whole, 5_000), 5);
  t.equal(await taken(half, 5_100), 0);
  t.equal(await taken(whole, 60_000), 10);
  t.equal(await taken(half, 60_000), 0, "where the whole is used up nothing is taken of the part");
  t.equal(await taken(half, 61_000), 5);
  t.equal(await taken(createSignatureBudget(0, whole), 90_000), 0);
});
