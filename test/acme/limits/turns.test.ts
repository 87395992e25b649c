import { setImmediate as turn } from "node:timers/promises";
import t from "tap";
import { createTurns } from "../../../src/acme/limits/turns.ts";

const never = new AbortController().signal;

t.test("so many of one key at once, the next in order of arrival, and another key beside them", async (t) => {
  const turns = createTurns(2);
  const begun: string[] = [];
  const take = async (key: string, name: string) => {
    const leave = await turns.take(key, never);
    begun.push(name);
    return leave;
  };
  const first = await take("a", "a1");
  const second = await take("a", "a2");
  const third = take("a", "a3");
  const fourth = take("a", "a4");
  const other = await take("b", "b1");
  await turn();
  t.same(begun, ["a1", "a2", "b1"]);
  first();
  first();
  await turn();
  t.same(begun, ["a1", "a2", "b1", "a3"], "leaving twice gives one turn");
  second();
  (await third)();
  (await fourth)();
  other();
  t.same(begun.at(-1), "a4");
  const again = await Promise.all([take("a", "a5"), take("a", "a6")]);
  t.equal(again.length, 2, "all turns are there again");
});

t.test("who gives up waiting takes nobody's turn", async (t) => {
  const turns = createTurns(1);
  const leave = await turns.take("a", never);
  const stopping = new AbortController();
  const waiting = turns.take("a", stopping.signal);
  const next = turns.take("a", never);
  stopping.abort(new Error("stopped"));
  await t.rejects(waiting, { message: "stopped" });
  await t.rejects(turns.take("a", stopping.signal), { message: "stopped" }, "nor does who comes too late");
  leave();
  (await next)();
});

t.test("random use never exceeds the limit and leaves nothing behind", async (t) => {
  const turns = createTurns(3);
  const inside = new Map<string, number>();
  let most = 0;
  const work = async (key: string): Promise<void> => {
    const leave = await turns.take(key, never);
    inside.set(key, (inside.get(key) ?? 0) + 1);
    most = Math.max(most, inside.get(key) ?? 0);
    await turn();
    inside.set(key, (inside.get(key) ?? 0) - 1);
    leave();
  };
  await Promise.all(Array.from({ length: 300 }, (_, i) => work(`k${i % 7}`)));
  t.equal(most, 3);
});
