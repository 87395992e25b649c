/**
 * Sessions on loan. A PKCS#11 session carries one operation at a time (PKCS#11 v2.40 §5.11), so each is lent to one operation, and the rest
 * waits in order of arrival. All sessions of a token die together, so they are kept as a set, which is replaced as a whole.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { KeyUnavailable } from "./signer.ts";

/** What is known of the sessions, and how many operations may want them. */
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
  /** How many operations may wait for a session, those that wait for the set to be opened again among them. */
  readonly queueLimit: number;
  /** Deadline of one operation, waiting and reopening included. */
  readonly timeoutMs: number;
  /** Least time between two reopenings, so that a dead token is not hammered by every request. */
  readonly reopenPauseMs: number;
}

/** Sessions that were opened together. */
export interface SessionSet<Session> {
  readonly size: number;
  readonly idle: Lease<Session>[];
  /** Those whose operation has outlived its deadline. */
  readonly hanging: Set<Lease<Session>>;
  /** `succeeded` once others are being opened: from then on handles of this set may be theirs. */
  state: "usable" | "lost" | "succeeded";
}

/** A session, to be lent. */
export interface Lease<Session> {
  readonly session: Session;
  readonly set: SessionSet<Session>;
  /** Set when its operation found it lost. */
  lost?: true;
}

/** Who wants a session. */
export interface Borrower<Session> {
  /** True for one that had a session which was lost: it has come in already, and is not turned away for want of room. */
  again: boolean;
  /** Its place in the queue, once it has had to wait. */
  waiter?: Waiter<Session>;
}

interface Waiter<Session> {
  take(lease: Lease<Session>): void;
  refuse(reason: KeyUnavailable): void;
}

/** All that changes of a pool's sessions. */
export interface SessionLoans<Session> {
  readonly options: SessionPoolOptions<Session>;
  /** The one that was opened last; lost or succeeded until its successor is there. */
  set: SessionSet<Session>;
  /** Sessions that are lent, of whichever set. */
  lent: number;
  /** In order of arrival; a Set because a deadline takes a waiter out of the middle. */
  readonly waiting: Set<Waiter<Session>>;
  /** True while a successor of the set is being opened. */
  opening: boolean;
  /** When the last successor was begun, as `performance.now` counts. */
  openedAgainAt: number;
  closed: boolean;
}

const drainPollMs = 5;
/** How long sessions that are out are waited for before others are opened. */
const comeBackMs = 250;

/** Opens the first set. @throws what `open` throws */
export async function openLoans<Session>(options: SessionPoolOptions<Session>): Promise<SessionLoans<Session>> {
  const set = setOf(await options.open(true));
  const openedAgainAt = Number.NEGATIVE_INFINITY;
  return { options, set, lent: 0, waiting: new Set(), opening: false, openedAgainAt, closed: false };
}

function setOf<Session>(sessions: readonly Session[]): SessionSet<Session> {
  const set: SessionSet<Session> = { size: sessions.length, idle: [], hanging: new Set(), state: "usable" };
  set.idle.push(...sessions.map((session) => ({ session, set })));
  return set;
}

/** @throws {KeyUnavailable} */
export function requireOpen({ closed }: SessionLoans<unknown>): void {
  if (closed) throw new KeyUnavailable("the keys are closed");
}

/** @throws {KeyUnavailable} */
export function requireRoom({ waiting, options }: SessionLoans<unknown>): void {
  if (waiting.size >= options.queueLimit) throw new KeyUnavailable("too many operations are waiting for the token");
}

/**
 * A session of one's own, now or in one's turn. Where the set is lost, a successor is begun.
 * @throws {KeyUnavailable} when closed, the set is lost and cannot be replaced yet, or the queue is full
 */
export function borrow<Session>(
  loans: SessionLoans<Session>,
  borrower: Borrower<Session>,
): Promise<Lease<Session>> | Lease<Session> {
  requireOpen(loans);
  if (loans.set.state !== "usable") replace(loans, loans.set);
  const free = loans.set.idle.pop();
  if (free) return lend(loans, free);
  if (!borrower.again) requireRoom(loans);
  return new Promise((take, refuse) => {
    borrower.waiter = { take, refuse };
    loans.waiting.add(borrower.waiter);
  });
}

/** Takes whoever waits out of the queue; nothing happens to one that does not, or no longer. */
export function leaveQueue<Session>(
  { waiting }: SessionLoans<Session>,
  { waiter }: Borrower<Session>,
  reason: KeyUnavailable,
): void {
  if (waiter && waiting.delete(waiter)) waiter.refuse(reason);
}

/** A session counts as lent from here on, not from the moment its taker wakes up: closing must not slip in between. */
function lend<Session>(loans: SessionLoans<Session>, lease: Lease<Session>): Lease<Session> {
  loans.lent += 1;
  return lease;
}

/** To whoever waits longest, or to lie ready. */
function handOut<Session>(loans: SessionLoans<Session>, lease: Lease<Session>): void {
  const next = loans.waiting.values().next().value;
  if (!next) {
    lease.set.idle.push(lease);
    return;
  }
  loans.waiting.delete(next);
  next.take(lend(loans, lease));
}

/** Takes a session back. */
export function giveBack<Session>(loans: SessionLoans<Session>, lease: Lease<Session>): void {
  const { session, set, lost } = lease;
  loans.lent -= 1;
  set.hanging.delete(lease);
  if (set.state === "usable" && !loans.closed) handOut(loans, lease);
  // Some modules give the handle of a session that is gone to the next one: what was found lost is not closed under its successor.
  else if (!lost || set.state !== "succeeded") loans.options.close(session);
}

/** True where a set that is lost may be replaced now. */
export function mayReplace({ openedAgainAt, options }: SessionLoans<unknown>): boolean {
  return performance.now() - openedAgainAt >= options.reopenPauseMs;
}

/**
 * Begins to replace the set that was found lost, unless somebody has.
 * @throws {KeyUnavailable} when closed, or that was tried a moment ago
 */
export function replace<Session>(loans: SessionLoans<Session>, lost: SessionSet<Session>): void {
  requireOpen(loans);
  if (lost !== loans.set || loans.opening) return;
  if (!mayReplace(loans)) {
    throw new KeyUnavailable("the token's sessions are lost, and opening them again was tried a moment ago");
  }
  loans.openedAgainAt = performance.now();
  loans.opening = true;
  lost.state = "lost";
  closeIdle(loans);
  void openSuccessor(loans);
}

/** Never rejects: those who wait are told. */
async function openSuccessor<Session>(loans: SessionLoans<Session>): Promise<void> {
  const { options } = loans;
  try {
    // Those that are out are waited for a little, so that they are closed before their handles can be given out again.
    await returned(loans, comeBackMs);
    if (loans.closed) return;
    loans.set.state = "succeeded";
    const sessions = await options.open(loans.lent === 0);
    if (loans.closed) {
      for (const session of sessions) options.close(session);
      return;
    }
    loans.set = setOf(sessions);
    for (const lease of loans.set.idle.splice(0)) handOut(loans, lease);
  } catch (error) {
    refuseAll(loans, `the token cannot be opened again: ${messageOf(error)}`);
  } finally {
    loans.opening = false;
  }
}

/** Resolves once no session is lent, or after `waitMs`. */
async function returned(loans: SessionLoans<unknown>, waitMs: number): Promise<void> {
  const end = performance.now() + waitMs;
  while (loans.lent > 0 && performance.now() < end) await sleep(drainPollMs);
}

/** Only what lies idle is closed: closing a session under a running call is more than some modules survive. */
function closeIdle<Session>({ set, options }: SessionLoans<Session>): void {
  for (const { session } of set.idle.splice(0)) options.close(session);
}

function refuseAll({ waiting }: SessionLoans<unknown>, message: string): void {
  const reason = new KeyUnavailable(message);
  for (const waiter of waiting) waiter.refuse(reason);
  waiting.clear();
}

/**
 * Lends nothing any more, and waits for what is lent and being opened, at most `timeoutMs`.
 * @returns false when something was still out then
 */
export async function closeLoans<Session>(loans: SessionLoans<Session>): Promise<boolean> {
  loans.closed = true;
  refuseAll(loans, "the keys are closed");
  closeIdle(loans);
  const end = performance.now() + loans.options.timeoutMs;
  while (!isQuiet(loans) && performance.now() < end) await sleep(drainPollMs);
  return isQuiet(loans);
}

function isQuiet({ lent, opening }: SessionLoans<unknown>): boolean {
  return lent === 0 && !opening;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "unknown error";
}
