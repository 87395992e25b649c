/**
 * How many signatures strangers may have: so many a second, as many of them at once, and never more under way than that. What is over it is not
 * queued, so that a flood of requests neither fills memory nor keeps the token from issuing. Pure but for the promise it waits for.
 */
export interface SignatureBudget {
  /** Runs `sign` where there is room. Undefined where there is none: then nothing was run. */
  take<T>(nowMs: number, sign: () => Promise<T>): Promise<T> | undefined;
}

/** Milliseconds: sums of fractions come out a little over. */
const rounding = 0.001;

/**
 * @param perSecond 0 for none
 * @param whole that it is a part of: what is taken here is taken there as well, and the rest is left to others
 */
export function createSignatureBudget(perSecond: number, whole?: SignatureBudget): SignatureBudget {
  const each = 1000 / perSecond;
  // As a token bucket of `perSecond` tokens, kept as the time at which it will be full again.
  let fullAt = 0;
  let underWay = 0;
  return {
    take(nowMs, sign) {
      // A second is what is full at the latest; more is what a clock that was put back has left.
      fullAt = Math.min(fullAt, nowMs + 1000);
      const next = Math.max(fullAt, nowMs) + each;
      if (next - nowMs > 1000 + rounding || underWay >= perSecond) return undefined;
      const signing = whole === undefined ? sign() : whole.take(nowMs, sign);
      if (signing === undefined) return undefined;
      fullAt = next;
      underWay++;
      return signing.finally(() => {
        underWay--;
      });
    },
  };
}
