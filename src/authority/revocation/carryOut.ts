/**
 * Carries a revocation out that was begun. Its beginning has stopped whatever would issue more of what it covers. What was under way by then
 * is waited for or caught, and only then the certificates are walked: so the walk finds all that there will ever be. It may be cut off at any
 * point and goes on from there, in whatever process.
 */
import { setTimeout as pause } from "node:timers/promises";

import type { RevocationProgress, RunningRevocation } from "../revocationPorts.ts";

export interface CarryingOutParts {
  readonly progress: RevocationProgress;
  /** No statement of any server lasts longer; milliseconds. */
  readonly statementTimeoutMs: number;
  readonly now: () => Date;
  readonly onFailure: (id: string, error: unknown) => void;
}

export interface CarryingOut {
  /** Begins at once, beside whatever else goes on, and resolves when it is done, or not this process' business any more. */
  begin(action: RunningRevocation): Promise<void>;
  /** Takes up what a process that ended has left. */
  resume(): Promise<void>;
  /** Begins nothing more and waits for the steps under way. */
  stop(): Promise<void>;
}

/** Certificates looked at in one transaction: few enough that nobody waits for it. */
const batch = 2_000;
/** Nobody is at an action that was not touched for so long. */
const leftMs = 5_000;
const transactionPauseMs = 5;
const graceMs = 1_000;

export function createCarryingOut({ progress, statementTimeoutMs, now, onFailure }: CarryingOutParts): CarryingOut {
  const underWay = new Map<string, Promise<void>>();
  const ending = new AbortController();
  const goesOn = (): boolean => !ending.signal.aborted;

  /** Waits for every transaction that was there, or for as long as one of ours can last. */
  async function settled(): Promise<void> {
    const until = performance.now() + statementTimeoutMs + graceMs; // By a clock that does not jump.
    let waitedFor = new Set(await progress.transactions());
    while (waitedFor.size > 0 && performance.now() < until && goesOn()) {
      await pause(transactionPauseMs);
      waitedFor = new Set((await progress.transactions()).filter((id) => waitedFor.has(id)));
    }
  }

  async function carryOut(action: RunningRevocation): Promise<void> {
    if (action.closedAt === null) {
      await settled();
      if (!goesOn()) return; // Not closed: whoever takes it up waits again.
      await progress.close(action.id);
    }
    while (goesOn() && (await progress.step(action, batch)) === "running");
  }

  function begin(action: RunningRevocation): Promise<void> {
    const already = underWay.get(action.id);
    if (already !== undefined) return already;
    const carried = carryOut(action)
      .catch((error: unknown) => onFailure(action.id, error)) // The job takes it up again.
      .finally(() => underWay.delete(action.id));
    underWay.set(action.id, carried);
    return carried;
  }

  return {
    begin,
    async resume() {
      const left = await progress.left(new Date(now().getTime() - leftMs));
      if (goesOn()) await Promise.all(left.map(begin));
    },
    async stop() {
      ending.abort();
      await Promise.all(underWay.values());
    },
  };
}
