import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { createWaiting } from "../../../src/acme/challenges/waiting.ts";

/** Waiting validations that are kept every `everyMs`, and what the store was told. */
function world(everyMs: number, keep: () => Promise<void> = () => Promise.resolve()) {
  const told: (readonly string[])[] = [];
  const errors: unknown[] = [];
  const waiting = createWaiting(
    (ids) => {
      told.push(ids);
      return keep();
    },
    (error) => errors.push(error),
    everyMs,
  );
  return { told, errors, waiting };
}

t.test("whoever waits long is kept again and again, together with others, and not afterwards", async (t) => {
  const { told, waiting } = world(50);
  const { promise, resolve } = Promise.withResolvers<string>();
  const both = Promise.all([waiting.during("a", promise), waiting.during("b", promise)]);
  t.equal(await waiting.during("brief", Promise.resolve("turn")), "turn");
  await sleep(230);
  t.ok(told.length >= 2 && told.length <= 4, `${told.length} statements`);
  t.same(new Set(told.map((ids) => ids.join())), new Set(["a,b"]));
  resolve("turn");
  t.same(await both, ["turn", "turn"]);
  const before = told.length;
  await sleep(120);
  t.equal(told.length, before);
});

t.test("a turn that never comes rejects as it does, and is not kept either", async (t) => {
  const { told, waiting } = world(20);
  await t.rejects(waiting.during("a", Promise.reject(new Error("stopped"))), { message: "stopped" });
  await sleep(60);
  t.same(told, []);
});

t.test("one statement keeps two hundred, the longest unheard of first, and one at a time is sent", async (t) => {
  const { told, waiting } = world(40, () => sleep(5));
  const { promise, resolve } = Promise.withResolvers<void>();
  const all = Array.from({ length: 450 }, (_, index) => waiting.during(`${index}`, promise));
  await sleep(210);
  t.ok(told.length >= 3);
  t.ok(told.every((ids) => ids.length <= 200));
  t.equal(new Set(told.flat().slice(0, 450)).size, 450, "each of them before the first one again");
  resolve();
  await Promise.all(all);
});

t.test("a store that is away is told of, and asked again", async (t) => {
  const { told, errors, waiting } = world(30, () => Promise.reject(new Error("away")));
  const { promise, resolve } = Promise.withResolvers<void>();
  const waits = waiting.during("a", promise);
  await sleep(150);
  t.ok(told.length >= 2 && errors.length >= 2);
  resolve();
  await waits;
});
