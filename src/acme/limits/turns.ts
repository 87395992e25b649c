/**
 * So many at once for each key, and the others wait in order of arrival: no account takes all of what there is for validations. How many
 * may wait is bounded by what each waits for, an authorization that is pending.
 */
export interface Turns {
  /** Resolves when it is this one's turn; call the result once when done. Rejects with the signal's reason. */
  take(key: string, signal: AbortSignal): Promise<() => void>;
}

interface Queue {
  inside: number;
  readonly waiting: Set<() => void>;
}

/** @param limit turns of one key at once */
export function createTurns(limit: number): Turns {
  const queues = new Map<string, Queue>();

  function leave(key: string, queue: Queue): void {
    const [next] = queue.waiting;
    if (next !== undefined) {
      next(); // The place passes on as it is.
      return;
    }
    queue.inside -= 1;
    if (queue.inside === 0) queues.delete(key);
  }

  function once(key: string, queue: Queue): () => void {
    let left = false;
    return () => {
      if (left) return;
      left = true;
      leave(key, queue);
    };
  }

  return {
    async take(key, signal) {
      signal.throwIfAborted();
      const queue = queues.get(key) ?? { inside: 0, waiting: new Set() };
      queues.set(key, queue);
      if (queue.inside < limit) {
        queue.inside += 1;
        return once(key, queue);
      }
      return await new Promise((resolve, reject) => {
        const giveUp = (): void => {
          queue.waiting.delete(admit);
          reject(signal.reason as Error);
        };
        const admit = (): void => {
          queue.waiting.delete(admit);
          signal.removeEventListener("abort", giveUp);
          resolve(once(key, queue));
        };
        queue.waiting.add(admit);
        signal.addEventListener("abort", giveUp, { once: true });
      });
    },
  };
}
