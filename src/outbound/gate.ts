/**
 * A gate that bounds how much is done at once, for each target and in all, so that slow targets hold up nobody but themselves.
 */

export interface GateLimits {
  readonly perTarget: number;
  readonly inAll: number;
  readonly waitingPerTarget: number;
  readonly waitingInAll: number;
  /** Longest time that anybody waits. */
  readonly patienceMs: number;
}

export interface Gate {
  /**
   * Resolves when `target` has room; call the result once when done (further calls do nothing). Whoever waits is served in order
   * of arrival, except that a full target does not hold up others.
   * @throws {GateFull} when too many wait already, or this one has waited too long · `signal.reason`
   */
  enter(target: string, signal: AbortSignal): Promise<() => void>;
}

export class GateFull extends Error {
  override readonly name = "GateFull";
}

export function createGate(limits: GateLimits): Gate {
  const inside = new Map<string, number>();
  let insideInAll = 0;
  const waiting = new Set<{ target: string; admit: () => void }>();

  const hasRoom = (target: string) => insideInAll < limits.inAll && (inside.get(target) ?? 0) < limits.perTarget;

  function admit(target: string): () => void {
    insideInAll += 1;
    inside.set(target, (inside.get(target) ?? 0) + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      insideInAll -= 1;
      const others = (inside.get(target) ?? 1) - 1;
      if (others === 0) inside.delete(target);
      else inside.set(target, others);
      for (const visitor of waiting) {
        if (insideInAll >= limits.inAll) return;
        if (hasRoom(visitor.target)) visitor.admit();
      }
    };
  }

  function wait(target: string, signal: AbortSignal): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const leave = (reason: unknown) => {
        waiting.delete(visitor);
        clearTimeout(timer);
        signal.removeEventListener("abort", giveUp);
        reject(reason);
      };
      const giveUp = () => leave(signal.reason);
      const timer = setTimeout(() => leave(new GateFull("waited too long")), limits.patienceMs).unref();
      const visitor = {
        target,
        admit: () => {
          waiting.delete(visitor);
          clearTimeout(timer);
          signal.removeEventListener("abort", giveUp);
          resolve(admit(target));
        },
      };
      waiting.add(visitor);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  return {
    async enter(target, signal) {
      signal.throwIfAborted();
      if (hasRoom(target)) return admit(target);
      const sameTarget = [...waiting].filter((visitor) => visitor.target === target).length;
      if (waiting.size >= limits.waitingInAll || sameTarget >= limits.waitingPerTarget)
        throw new GateFull("too many are waiting");
      return wait(target, signal);
    },
  };
}
