/** Operations on sessions: their deadlines, their second try, and whether one more would be done in time. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { KeyUnavailable } from "../../src/keys/signer.ts";
import { gate, isReady, lost, numberedPool, until } from "../support/numberedPool.ts";

t.test("an error of an operation reaches its caller and leaves the session in use", async (t) => {
  const { pool, opened } = await numberedPool();
  await t.rejects(
    pool.run(() => Promise.reject(new Error("mine"))),
    { message: "mine" },
  );
  t.equal(await pool.run(async () => "next"), "next");
  t.same(opened, [0, 1]);
});

t.test("whoever finds the sessions lost shares one reopening, and each is tried once more", async (t) => {
  const { pool, opened, closed } = await numberedPool();
  const tries = new Map<number, number[]>();
  const work = [0, 1, 2, 3].map((index) =>
    pool.run(async (session) => {
      tries.set(index, [...(tries.get(index) ?? []), session]);
      await new Promise(setImmediate);
      if (session < 2) throw lost;
      return session;
    }),
  );
  t.ok((await Promise.all(work)).every((session) => session >= 2));
  t.same(opened, [0, 1, 2, 3], "one reopening");
  t.same(new Set(closed), new Set([0, 1]));
  t.ok([...tries.values()].every((sessions) => sessions.length <= 2));
});

t.test("an operation that finds its second session lost gives up", async (t) => {
  const { pool, opened } = await numberedPool();
  let tries = 0;
  await t.rejects(
    pool.run(async () => {
      tries += 1;
      throw lost;
    }),
    lost,
  );
  t.equal(tries, 2);
  t.equal(opened.length, 4);
});

t.test("a deadline frees the place in the queue, but not the session that still works", async (t) => {
  const { pool } = await numberedPool({ queueLimit: 1, timeoutMs: 30 });
  const held = gate();
  let runs = 0;
  const operation = () => {
    runs += 1;
    return held.promise;
  };
  const late = await Promise.allSettled([pool.run(operation), pool.run(operation), pool.run(operation)]);
  for (const outcome of late) {
    t.match(outcome, { status: "rejected", reason: { name: "KeyUnavailable", message: /within 30 ms/ } });
  }
  t.equal(runs, 2, "what waited was never begun");
  const queued = pool.run(async () => "room in the queue");
  held.resolve();
  t.equal(await queued, "room in the queue");
});

t.test("an operation that dies after its deadline is not tried again", async (t) => {
  const { pool, opened } = await numberedPool({ timeoutMs: 20 });
  const held = gate();
  let runs = 0;
  await t.rejects(
    pool.run(async () => {
      runs += 1;
      await held.promise;
      throw lost;
    }),
    KeyUnavailable,
  );
  held.resolve();
  await new Promise(setImmediate);
  t.equal(runs, 1);
  t.same(opened, [0, 1]);
});

t.test("requireReady passes while an operation would be done in time", async (t) => {
  const { pool } = await numberedPool({ queueLimit: 1 });
  t.doesNotThrow(() => pool.requireReady());
  const hold = gate();
  const running = [1, 2, 3].map(() => pool.run(() => hold.promise));
  t.throws(() => pool.requireReady(), { name: "KeyUnavailable", message: /too many operations are waiting/ });
  hold.resolve();
  await Promise.all(running);
  t.doesNotThrow(() => pool.requireReady());
  await pool.close();
  t.throws(() => pool.requireReady(), { name: "KeyUnavailable", message: /closed/ });
});

t.test(
  "requireReady refuses while every session hangs past its deadline, and passes when one comes back",
  async (t) => {
    const { pool } = await numberedPool({ timeoutMs: 20 });
    const hold = [gate(), gate()];
    const running = hold.map(({ promise }) => pool.run(() => promise));
    t.doesNotThrow(() => pool.requireReady(), "busy is not hanging");
    for (const each of running) await t.rejects(each, /did not answer within 20 ms/);
    t.throws(() => pool.requireReady(), { name: "KeyUnavailable", message: /does not answer/ });
    hold[0]?.resolve();
    await new Promise(setImmediate);
    t.doesNotThrow(() => pool.requireReady());
    hold[1]?.resolve();
  },
);

t.test("requireReady refuses while what waits would take longer than a deadline", async (t) => {
  const { pool } = await numberedPool({ queueLimit: 10_000, timeoutMs: 10_000 });
  for (let count = 0; count < 10; count += 1) await pool.run(() => sleep(20));
  const hold = gate();
  // Thousands, so that the deadline can be one that nothing here comes near.
  const crowd = Array.from({ length: 4000 }, () => pool.run(() => hold.promise));
  t.throws(() => pool.requireReady(), { name: "KeyUnavailable", message: /too slow/ });
  hold.resolve();
  await Promise.all(crowd);
  t.doesNotThrow(() => pool.requireReady());
});

t.test("requireReady of lost sessions refuses, and brings them back for whoever comes next", async (t) => {
  let away = false;
  let opened = 0;
  const { pool } = await numberedPool({
    reopenPauseMs: 30,
    async open() {
      if (away) throw new Error("away");
      opened += 1;
      return [opened];
    },
  });
  away = true;
  await t.rejects(
    pool.run(() => Promise.reject(lost)),
    /cannot be opened again: away/,
  );
  t.throws(() => pool.requireReady(), { name: "KeyUnavailable", message: /is away/ });
  t.equal(opened, 1);
  away = false;
  t.throws(() => pool.requireReady(), KeyUnavailable, "at best it is being opened");
  await until(async () => isReady(pool));
  t.equal(opened, 2, "nobody asked but requireReady");
});
