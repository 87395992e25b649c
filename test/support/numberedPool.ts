/** A pool of sessions that are numbers, for what needs no token. */
import { setTimeout as sleep } from "node:timers/promises";
import type { SessionPoolOptions } from "../../src/keys/sessionLoans.ts";
import { openSessionPool, type SessionPool } from "../../src/keys/sessionPool.ts";

/** What an operation throws that finds its session lost. */
export const lost = new Error("lost");

/** A promise that the test settles. */
export function gate() {
  return Promise.withResolvers<void>();
}

/** Looks again and again, for longer than a busy machine takes. */
export async function until(done: () => Promise<boolean>): Promise<void> {
  for (let looked = 0; looked < 1000; looked += 1) {
    if (await done()) return;
    await sleep(10);
  }
  throw new Error("it does not come about");
}

export function isReady(pool: SessionPool<number>): boolean {
  try {
    pool.requireReady();
    return true;
  } catch {
    return false;
  }
}

/** An operation that finds session 1 lost. */
export async function dieOnFirst(session: number): Promise<number> {
  await new Promise(setImmediate);
  if (session === 1) throw lost;
  return session;
}

/** A pool of numbered sessions; `opened` and `closed` tell what happened to them. */
export async function numberedPool(overrides: Partial<SessionPoolOptions<number>> = {}) {
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
