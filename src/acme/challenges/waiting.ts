/**
 * Validations that wait in this process for their account's turn. The store hears of them from time to time, so that no other process
 * takes them for left behind: one statement for many, and none for whoever waits only briefly.
 */

/** For so long a waiting validation may be unheard of. */
export const keptEveryMs = 5_000;
/** How often those are looked for, and how many of them one statement keeps: what is written each second has a limit. */
const roundMs = 1_000;
const roundMax = 200;

export interface Waiting {
  /** Resolves and rejects as `turn` does; until then the authorization's validation is this process's. */
  during<T>(authorizationId: string, turn: Promise<T>): Promise<T>;
}

/**
 * @param keep tells the store
 * @param onError told where that failed; it is tried again when they are due again
 */
export function createWaiting(
  keep: (authorizationIds: readonly string[]) => Promise<void>,
  onError: (error: unknown) => void,
  everyMs = keptEveryMs,
): Waiting {
  /** When each was heard of last; whoever was not for the longest time comes first. */
  const heard = new Map<string, number>();
  let rounds: NodeJS.Timeout | undefined;
  let keeping = false;

  async function round(): Promise<void> {
    if (heard.size === 0) {
      clearInterval(rounds);
      rounds = undefined;
    }
    if (keeping) return;
    const now = performance.now();
    const due: string[] = [];
    for (const [id, at] of heard) {
      if (due.length === roundMax || now - at < everyMs) break;
      due.push(id);
    }
    if (due.length === 0) return;
    for (const id of due) {
      heard.delete(id);
      heard.set(id, now);
    }
    keeping = true;
    await keep(due)
      .catch(onError)
      .finally(() => (keeping = false));
  }

  return {
    async during(authorizationId, turn) {
      heard.set(authorizationId, performance.now());
      rounds ??= setInterval(() => void round(), Math.min(roundMs, everyMs)).unref();
      try {
        return await turn;
      } finally {
        heard.delete(authorizationId);
      }
    },
  };
}
