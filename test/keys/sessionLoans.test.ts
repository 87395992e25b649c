/** Who gets a session, who waits, and how a set that is lost is replaced. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { KeyUnavailable } from "../../src/keys/signer.ts";
import { dieOnFirst, gate, lost, numberedPool, until } from "../support/numberedPool.ts";

t.test("one operation per session, the rest in order of arrival", async (t) => {
  const { pool } = await numberedPool();
  const busy = new Set<number>();
  const order: number[] = [];
  const work = Array.from({ length: 8 }, (_, index) =>
    pool.run(async (session) => {
      if (busy.has(session)) throw new Error("a session was lent twice");
      busy.add(session);
      order.push(index);
      await new Promise(setImmediate);
      busy.delete(session);
    }),
  );
  await Promise.all(work);
  t.same(order, [0, 1, 2, 3, 4, 5, 6, 7]);
});

t.test("a session that is out while the others are replaced is closed when it comes back, not before", async (t) => {
  const { pool, closed } = await numberedPool();
  const held = gate();
  const holding = pool.run(() => held.promise);
  await t.rejects(
    pool.run(() => Promise.reject(lost)),
    lost,
  );
  const outside = [0, 1].filter((session) => !closed.includes(session));
  t.equal(outside.length, 1);
  held.resolve();
  await holding;
  t.ok(outside.every((session) => closed.includes(session)));
});

t.test("a reopening that fails refuses those who wait, and none is tried before the pause is over", async (t) => {
  let openings = 0;
  const { pool } = await numberedPool({
    reopenPauseMs: 600_000,
    async open() {
      openings += 1;
      if (openings === 2) throw new Error("token away");
      return [openings];
    },
  });
  // One runs, one is given the dead session after it, one is still in the queue when the reopening fails.
  const outcomes = await Promise.allSettled([pool.run(dieOnFirst), pool.run(dieOnFirst), pool.run(dieOnFirst)]);
  const away = { status: "rejected", reason: { name: "KeyUnavailable", message: /opened again: token away/ } };
  t.match(outcomes, [away, away, away], "all that came before it had failed share it");
  await t.rejects(
    pool.run(async (session) => session),
    { name: "KeyUnavailable", message: /a moment ago/ },
  );
  t.throws(() => pool.requireReady(), { name: "KeyUnavailable", message: /is away/ });
  t.equal(openings, 2);
});

t.test("after the pause the next operation has the sessions opened again", async (t) => {
  let openings = 0;
  const { pool } = await numberedPool({
    reopenPauseMs: 50,
    async open() {
      openings += 1;
      if (openings === 2) throw new Error("token away");
      return [openings];
    },
  });
  await t.rejects(pool.run(dieOnFirst), /opened again: token away/);
  await until(async () => (await pool.run(async (session) => session).catch(() => undefined)) === 3);
  t.equal(openings, 3, "and once is enough");
});

t.test("what is found lost before the pause is over takes the sessions from nobody else", async (t) => {
  const { pool, opened } = await numberedPool({ reopenPauseMs: 600_000 });
  // A key that the token always fails with a word for lost sessions.
  const broken = () => {
    throw lost;
  };
  await t.rejects(
    pool.run(async () => broken()),
    lost,
  );
  t.equal(pool.runNow(broken), undefined);
  await t.rejects(
    pool.run(async () => broken()),
    { name: "KeyUnavailable", message: /a moment ago/ },
  );
  t.doesNotThrow(() => pool.requireReady());
  t.match(pool.runNow((session) => session)?.result, Number);
  t.match(await pool.run(async (session) => session), Number);
  t.same(opened, [0, 1, 2, 3], "opened again once");
});

t.test("the queue has its bound while the sessions are being opened again, and its order", async (t) => {
  const reopened = gate();
  let openings = 0;
  const { pool } = await numberedPool({
    queueLimit: 2,
    async open() {
      openings += 1;
      if (openings === 2) await reopened.promise;
      return [openings];
    },
  });
  const served: string[] = [];
  const serve = (name: string) => pool.run(async () => void served.push(name));
  t.equal(
    pool.runNow(() => {
      throw lost;
    }),
    undefined,
  );
  const waiting = [serve("first"), serve("second")];
  await t.rejects(serve("third"), { name: "KeyUnavailable", message: /too many operations/ });
  t.same(served, []);
  reopened.resolve();
  await Promise.all(waiting);
  t.same(served, ["first", "second"]);
});

t.test("a full queue refuses, and has room again when its waiters are served", async (t) => {
  const { pool } = await numberedPool({ queueLimit: 1 });
  const held = gate();
  const running = [0, 1, 2].map(() => pool.run(() => held.promise));
  await t.rejects(
    pool.run(async () => "one too many"),
    { name: "KeyUnavailable", message: /too many operations/ },
  );
  held.resolve();
  await Promise.all(running);
  t.equal(await pool.run(async () => "served"), "served");
});

t.test("close refuses new work and those who wait, lets what runs finish, and closes every session", async (t) => {
  const { pool, closed } = await numberedPool();
  const held = gate();
  const running = [0, 1].map(() => pool.run(() => held.promise));
  const waiting = pool.run(async () => "never");
  const refused = t.rejects(waiting, { name: "KeyUnavailable", message: /closed/ });
  const closing = pool.close();
  await refused;
  await t.rejects(
    pool.run(async () => "never"),
    { name: "KeyUnavailable", message: /closed/ },
  );
  t.same(closed, []);
  held.resolve();
  await Promise.all(running);
  t.equal(await closing, true);
  t.same(new Set(closed), new Set([0, 1]));
});

t.test("close says so when an operation does not end in time", async (t) => {
  const { pool } = await numberedPool({ timeoutMs: 20 });
  const held = gate();
  const running = t.rejects(
    pool.run(() => held.promise),
    KeyUnavailable,
  );
  t.equal(await pool.close(), false);
  await running;
  held.resolve();
});

t.test("a pool that is closed opens no sessions any more", async (t) => {
  const { pool, opened, closed } = await numberedPool();
  t.equal(
    pool.runNow(() => {
      throw lost;
    }),
    undefined,
  );
  t.equal(await pool.close(), true);
  t.same(opened, [0, 1]);
  t.same(new Set(closed), new Set([0, 1]));
});

t.test("sessions that open while the pool closes are closed", async (t) => {
  const reopened = gate();
  let openings = 0;
  const { pool, closed } = await numberedPool({
    async open() {
      openings += 1;
      if (openings === 2) await reopened.promise;
      return [openings];
    },
  });
  const refused = t.rejects(
    pool.run(() => Promise.reject(lost)),
    { name: "KeyUnavailable", message: /closed/ },
  );
  await new Promise(setImmediate);
  const closing = pool.close();
  reopened.resolve();
  await refused;
  t.equal(await closing, true);
  t.same(closed, [1, 2]);
});

t.test(
  "a lost session is never closed once its successors are being opened, whose handles may be the same",
  async (t) => {
    const open = new Set<number>();
    const closedAlive: number[] = [];
    const { pool } = await numberedPool({
      // Handles are given out again at once, as tpm2-pkcs11 does.
      async open() {
        open.clear();
        await sleep(30);
        for (const handle of [1, 2]) open.add(handle);
        return [1, 2];
      },
      close: (session) => {
        if (open.has(session) && opening) closedAlive.push(session);
      },
    });
    let opening = false;
    const held = gate();
    // Longer than the others are waited for: a call that hangs in the module while it is opened again.
    const hanging = pool.run(() => held.promise.then(() => Promise.reject(lost)));
    await t.rejects(
      pool.run(() => Promise.reject(lost)),
      lost,
    );
    opening = true;
    held.resolve();
    await t.rejects(hanging, lost);
    t.same(closedAlive, []);
  },
);
