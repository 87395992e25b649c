/**
 * How many finalize requests are under way at once. One more is not the client's fault, so it is 503 with Retry-After and no
 * `rateLimited`: RFC 8555 §6.6 has that for a client that exceeds a limit, and many clients give an order up at any 4xx.
 */
import { problem } from "../../problem/problem.ts";

export interface FinalizeQueue {
  /** Runs the work, unless too much is under way. @throws {Problem} unavailable */
  run<T>(work: () => Promise<T>): Promise<T>;
  /** How many are under way now. */
  underWay(): number;
}

/** When to come back; the time in which a queue of a sound size is worked off. Seconds. */
const retryAfterSeconds = 2;

/** @param onRefused told of every request that is turned away */
export function createFinalizeQueue(limit: number, onRefused: () => void): FinalizeQueue {
  let underWay = 0;
  return {
    underWay: () => underWay,
    async run(work) {
      if (underWay >= limit) {
        onRefused();
        throw problem("unavailable", "too many certificates are being issued right now", { retryAfterSeconds });
      }
      underWay += 1;
      try {
        return await work();
      } finally {
        underWay -= 1;
      }
    },
  };
}
