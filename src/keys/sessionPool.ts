/**
 * A pool of token sessions: N sessions are N operations at once. An operation has a deadline, and is tried once more where it found its
 * session lost. Knows no PKCS#11: what a session is, and which errors mean that it is dead, come from outside.
 */
import {
  borrow,
  closeLoans,
  giveBack,
  leaveQueue,
  mayReplace,
  openLoans,
  replace,
  requireOpen,
  requireRoom,
  type Borrower,
  type Lease,
  type SessionLoans,
  type SessionPoolOptions,
} from "./sessionLoans.ts";
import { KeyUnavailable } from "./signer.ts";

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

/** All that changes of a pool. */
interface Pool<Session> {
  readonly loans: SessionLoans<Session>;
  /** What an operation takes on average. */
  averageMs: number;
}

/** One operation on its way. */
interface Job<Session, T> extends Borrower<Session> {
  readonly operation: (session: Session) => Promise<T>;
  /** True once its deadline has passed. */
  expired: boolean;
  /** Set while it runs. */
  lease?: Lease<Session>;
}

/** How much the newest operation counts in the average of how long they take. */
const newestShare = 0.1;

/** Opens the sessions. @throws what `open` throws */
export async function openSessionPool<Session>(options: SessionPoolOptions<Session>): Promise<SessionPool<Session>> {
  const pool: Pool<Session> = { loans: await openLoans(options), averageMs: 0 };
  return {
    run: (operation) => run(pool, operation),
    runNow: (operation) => runNow(pool.loans, operation),
    requireReady: () => requireReady(pool),
    close: () => closeLoans(pool.loans),
  };
}

function run<Session, T>(pool: Pool<Session>, operation: (session: Session) => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const job: Job<Session, T> = { operation, again: false, expired: false };
    const { timeoutMs } = pool.loans.options;
    const deadline = setTimeout(() => {
      const reason = new KeyUnavailable(`the token did not answer within ${timeoutMs} ms`);
      expire(pool.loans, job, reason);
      reject(reason);
    }, timeoutMs);
    attemptTwice(pool, job)
      .then(resolve, reject)
      .finally(() => clearTimeout(deadline));
  });
}

/** A running call cannot be taken back from the token: its session stays on loan until the call returns. */
function expire<Session>(loans: SessionLoans<Session>, job: Job<Session, unknown>, reason: KeyUnavailable): void {
  job.expired = true;
  leaveQueue(loans, job, reason);
  job.lease?.set.hanging.add(job.lease);
}

async function attemptTwice<Session, T>(pool: Pool<Session>, job: Job<Session, T>): Promise<T> {
  const outcome = (await attempt(pool, job)) ?? (await attempt(pool, job));
  // The second attempt gives a result or throws; this line only tells the compiler so.
  if (!outcome) throw new KeyUnavailable("the token's sessions are lost");
  return outcome.result;
}

/** One go at the operation. Resolves to undefined when the sessions were lost, and others are being opened. */
async function attempt<Session, T>(pool: Pool<Session>, job: Job<Session, T>): Promise<{ result: T } | undefined> {
  const { loans } = pool;
  const lease = await borrow(loans, job);
  job.lease = lease;
  const began = performance.now();
  try {
    return { result: await job.operation(lease.session) };
  } catch (error) {
    if (loans.options.isLost(error)) lease.lost = true;
    if (job.again || job.expired || !lease.lost) throw error;
  } finally {
    delete job.lease;
    pool.averageMs += (performance.now() - began - pool.averageMs) * newestShare;
    giveBack(loans, lease);
  }
  job.again = true;
  replace(loans, lease.set);
  return undefined;
}

function runNow<Session, T>(
  loans: SessionLoans<Session>,
  operation: (session: Session) => T,
): { result: T } | undefined {
  const lease = loans.set.idle.at(-1);
  if (!lease) return undefined;
  try {
    // Nobody else runs meanwhile, so the session need not even be lent.
    return { result: operation(lease.session) };
  } catch (error) {
    if (!loans.options.isLost(error)) throw error;
    if (mayReplace(loans)) replace(loans, lease.set);
    return undefined;
  }
}

function requireReady({ loans, averageMs }: Pool<unknown>): void {
  const { set, waiting, options } = loans;
  requireOpen(loans);
  if (set.state !== "usable") {
    if (mayReplace(loans)) replace(loans, set); // Whoever comes next sees what became of it.
    throw new KeyUnavailable("the token is away; it is being opened again");
  }
  if (set.hanging.size >= set.size) throw new KeyUnavailable("the token does not answer");
  requireRoom(loans);
  if ((waiting.size / set.size) * averageMs > options.timeoutMs)
    throw new KeyUnavailable("the token is too slow for the operations that wait for it");
}
