/**
 * A pool of token sessions. A PKCS#11 session carries one operation at a time (PKCS#11 v2.40 §5.11), so N sessions are N
 * operations at once and the rest waits in order of arrival; and all sessions of a token die together, so they are replaced together.
 * Knows no PKCS#11: what a session is, and which errors mean that it is dead, come from outside.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { KeyUnavailable } from "./signer.ts";

/** What the pool needs to know of its sessions. */
export interface SessionPoolOptions<Session> {
  /**
   * Opens a full set of sessions. Called at the start and again whenever the set is lost. `quiet` tells that no operation runs on
   * a session of an earlier set, nor will until this resolves.
   */
  open(quiet: boolean): Promise<Session[]>;
  /** Gives one session back. Must not throw: the session may be dead already. */
  close(session: Session): void;
  /** True when an error of an operation means that the sessions are lost and fresh ones may do better. */
  isLost(error: unknown): boolean;
  /** How many operations may wait for a session. */
  readonly queueLimit: number;
  /** Deadline of one operation, waiting and reopening included. */
  readonly timeoutMs: number;
  /** Least time between two reopenings, so that a dead token is not hammered by every request. */
  readonly reopenPauseMs: number;
}

/** Sessions to run operations on. */
export interface SessionPool<Session> {
  /**
   * Runs one operation on a session of its own. When the sessions turn out to be lost they are opened again and the operation is
   * tried once more.
   * @throws {KeyUnavailable} when the queue is full, the deadline passes, or the sessions cannot be had again · what `operation` throws
   */
  run<T>(operation: (session: Session) => Promise<T>): Promise<T>;
  /**
   * Runs an operation that does not wait, now, on a session that is free. Returns nothing where there is none, or the sessions turn out to
   * be lost: `run` does it then.
   * @throws what `operation` throws
   */
  runNow<T>(operation: (session: Session) => T): { readonly result: T } | undefined;
  /**
   * Returns where an operation that came now would probably be done in time; asks nothing of the token. Where the sessions are lost it
   * starts opening them again, so that whoever is refused here may come back.
   * @throws {KeyUnavailable} when the sessions are lost, every one of them hangs, the queue is full, or would take longer than a deadline
   */
  requireReady(): void;
  /** Refuses new work and waits for what runs, at most `timeoutMs`. Resolves to false when an operation was still running then. */
  close(): Promise<boolean>;
}

/** A session on loan. `generation` tells of which opening it is: one of an earlier opening is closed when it comes back. */
interface Lease<Session> {
  readonly session: Session;
  readonly generation: number;
  /** Set when its operation found it lost. */
  lost?: true;
}

interface Waiter<Session> {
  take(lease: Lease<Session>): void;
  refuse(reason: KeyUnavailable): void;
}

/** One operation on its way; `waiter` is set while it is in the queue. */
interface Job<Session> {
  expired: boolean;
  waiter?: Waiter<Session>;
  /** Set while the operation runs. */
  lease?: Lease<Session>;
}

/** How much the newest operation counts in the average of how long they take. */
const newestShare = 0.1;

const drainPollMs = 5;
/** How long sessions that are out are waited for before others are opened. */
const comeBackMs = 250;

/** Opens the sessions. @throws what `open` throws */
export async function openSessionPool<Session>(options: SessionPoolOptions<Session>): Promise<SessionPool<Session>> {
  let idle: Lease<Session>[] = [];
  /** In order of arrival; a Set because a deadline takes a waiter out of the middle. */
  const waiting = new Set<Waiter<Session>>();
  let generation = 0;
  /** The generation that was last begun; as `generation`, but while it is being opened. */
  let opened = 0;
  let usable = false;
  let busy = 0;
  let closed = false;
  let reopening: Promise<void> | undefined;
  let reopenedAt = Number.NEGATIVE_INFINITY;
  /** Sessions of this opening; those among them whose operation has outlived its deadline; what an operation takes on average. */
  let size = 0;
  const hanging = new Set<Lease<Session>>();
  let averageMs = 0;

  /** A lease counts as busy from here on, not from the moment its taker wakes up: close() must not slip in between. */
  function lend(lease: Lease<Session>): Lease<Session> {
    busy += 1;
    return lease;
  }

  function handOut(lease: Lease<Session>): void {
    const next = waiting.values().next().value;
    if (!next) {
      idle.push(lease);
      return;
    }
    waiting.delete(next);
    next.take(lend(lease));
  }

  function acquire(job: Job<Session>): Promise<Lease<Session>> | Lease<Session> {
    if (closed) throw new KeyUnavailable("the keys are closed");
    const free = idle.pop();
    if (free) return lend(free);
    if (waiting.size >= options.queueLimit) throw new KeyUnavailable("too many operations are waiting for the token");
    return new Promise((take, refuse) => {
      job.waiter = { take, refuse };
      waiting.add(job.waiter);
    });
  }

  function release(lease: Lease<Session>): void {
    busy -= 1;
    hanging.delete(lease);
    if (usable && !closed && lease.generation === generation) handOut(lease);
    // Some modules give the handle of a session that is gone to the next one: what was found lost is not closed under its successor.
    else if (!lease.lost || lease.generation === opened) options.close(lease.session);
  }

  async function fill(): Promise<void> {
    // Those that are out are waited for a little, so that they are closed before their handles can be given out again.
    const end = performance.now() + comeBackMs;
    while (isOut() && performance.now() < end) await sleep(drainPollMs);
    opened += 1;
    const sessions = await options.open(busy === 0);
    if (closed) {
      for (const session of sessions) options.close(session);
      return;
    }
    generation = opened;
    usable = true;
    size = sessions.length;
    hanging.clear(); // What still hangs is of an earlier opening, and none of these.
    for (const session of sessions) handOut({ session, generation });
  }

  /** Replaces the sessions of the generation that was found dead. Everyone who found it dead shares one reopening. */
  function reopen(lost: number): Promise<void> | undefined {
    if (lost !== generation) return undefined;
    if (reopening) return reopening;
    if (performance.now() - reopenedAt < options.reopenPauseMs) {
      throw new KeyUnavailable("the token's sessions are lost, and opening them again was tried a moment ago");
    }
    reopenedAt = performance.now();
    usable = false;
    // Only idle sessions are closed here: closing one under a running call is more than some modules survive.
    for (const lease of idle) options.close(lease.session);
    idle = [];
    reopening = fill()
      .catch((error: unknown) => {
        const reason = new KeyUnavailable(`the token cannot be opened again: ${messageOf(error)}`);
        for (const waiter of waiting) waiter.refuse(reason);
        waiting.clear();
        throw reason;
      })
      .finally(() => {
        reopening = undefined;
      });
    return reopening;
  }

  /** One go at the operation. Resolves to undefined when the sessions were lost, having opened them again. */
  async function attempt<T>(job: Job<Session>, operation: (session: Session) => Promise<T>, last: boolean) {
    if (closed) throw new KeyUnavailable("the keys are closed");
    if (!usable) await reopen(generation);
    const lease = await acquire(job);
    delete job.waiter;
    job.lease = lease;
    const began = performance.now();
    try {
      if (job.expired) throw new KeyUnavailable("the deadline passed");
      return { result: await operation(lease.session) };
    } catch (error) {
      if (options.isLost(error)) lease.lost = true;
      if (last || job.expired || !lease.lost) throw error;
    } finally {
      delete job.lease;
      averageMs += (performance.now() - began - averageMs) * newestShare;
      release(lease);
    }
    await reopen(lease.generation);
    return undefined;
  }

  async function attemptTwice<T>(job: Job<Session>, operation: (session: Session) => Promise<T>): Promise<T> {
    const outcome = (await attempt(job, operation, false)) ?? (await attempt(job, operation, true));
    // The second attempt gives a result or throws; this line only tells the compiler so.
    if (!outcome) throw new KeyUnavailable("the token's sessions are lost");
    return outcome.result;
  }

  function requireReady(): void {
    if (closed) throw new KeyUnavailable("the keys are closed");
    if (!usable) {
      if (!reopening && performance.now() - reopenedAt >= options.reopenPauseMs) {
        reopen(generation)?.catch(() => undefined); // Whoever comes next sees what became of it.
      }
      throw new KeyUnavailable("the token is away; it is being opened again");
    }
    if (hanging.size >= size) throw new KeyUnavailable("the token does not answer");
    if (waiting.size >= options.queueLimit) throw new KeyUnavailable("too many operations are waiting for the token");
    if ((waiting.size / size) * averageMs > options.timeoutMs)
      throw new KeyUnavailable("the token is too slow for the operations that wait for it");
  }

  function isOut(): boolean {
    return busy > 0;
  }

  function isQuiet(): boolean {
    return !isOut() && !reopening;
  }

  await fill();
  return {
    requireReady,

    runNow(operation) {
      const lease = closed || !usable ? undefined : idle.at(-1);
      if (!lease) return undefined;
      try {
        // Nobody else runs meanwhile, so the session need not even be lent.
        return { result: operation(lease.session) };
      } catch (error) {
        if (!options.isLost(error)) throw error;
        usable = false; // Whoever comes next opens them again.
        return undefined;
      }
    },

    run(operation) {
      return new Promise((resolve, reject) => {
        const job: Job<Session> = { expired: false };
        const deadline = setTimeout(() => {
          const reason = new KeyUnavailable(`the token did not answer within ${options.timeoutMs} ms`);
          job.expired = true;
          // A running call cannot be taken back from the token: its session stays on loan until the call returns.
          if (job.waiter && waiting.delete(job.waiter)) job.waiter.refuse(reason);
          if (job.lease?.generation === generation) hanging.add(job.lease);
          reject(reason);
        }, options.timeoutMs);
        attemptTwice(job, operation)
          .then(resolve, reject)
          .finally(() => clearTimeout(deadline));
      });
    },

    async close() {
      closed = true;
      const reason = new KeyUnavailable("the keys are closed");
      for (const waiter of waiting) waiter.refuse(reason);
      waiting.clear();
      for (const lease of idle) options.close(lease.session);
      idle = [];
      const end = performance.now() + options.timeoutMs;
      while (!isQuiet() && performance.now() < end) await sleep(drainPollMs);
      return isQuiet();
    },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "unknown error";
}
