import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { openSessionPool, type SessionPoolOptions } from "../../src/keys/sessionPool.ts";
import { KeyUnavailable } from "../../src/keys/signer.ts";

const lost = new Error("lost");

/** A promise that the test settles. */
function gate() {
  return Promise.withResolvers<void>();
}

async function dieOnFirst(session: number): Promise<number> {
  await new Promise(setImmediate);
  if (session === 1) throw lost;
  return session;
}

/** A pool of numbered sessions; `opened` and `closed` tell what happened to them. */
async function numberedPool(overrides: Partial<SessionPoolOptions<number>> = {}) {
  const opened: number[] = [];
  const closed: number[] = [];
  const pool = await openSessionPool<number>({
    async open() {
      const next = [opened.length, opened.length + 1];
      opened.push(...next);
      return next;
    },
    close: (session) => void closed.push(session),
    isLost: (error) => error === lost,
    queueLimit: 10,
    timeoutMs: 5000,
    reopenPauseMs: 0,
    ...overrides,
  });
  return { pool, opened, closed };
}

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

t.test(
  "a reopening that fails refuses those who wait, and the next operation tries again after the pause",
  async (t) => {
    let openings = 0;
    const { pool } = await numberedPool({
      reopenPauseMs: 50,
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
    t.equal(openings, 2);
    await new Promise((resolve) => setTimeout(resolve, 60));
    t.equal(await pool.run(async (session) => session), 3);
  },
);

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
  const { pool } = await numberedPool({ queueLimit: 1000, timeoutMs: 200 });
  for (let count = 0; count < 10; count += 1) await pool.run(() => new Promise((done) => setTimeout(done, 20)));
  const hold = gate();
  const crowd = Array.from({ length: 200 }, () => pool.run(() => hold.promise));
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
  t.throws(() => pool.requireReady(), KeyUnavailable, "not yet: it was tried a moment ago");
  await sleep(40);
  t.throws(() => pool.requireReady(), KeyUnavailable, "this one has it opened");
  await sleep(20);
  t.doesNotThrow(() => pool.requireReady());
  t.equal(opened, 2);
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
