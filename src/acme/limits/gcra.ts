/**
 * The generic cell rate algorithm (ITU-T I.371, annex A): a limit of `count` in `periodMs` with bursts of `burst`, kept as one number for
 * each bucket, the theoretical arrival time: when the bucket will be as good as new. Pure: `now` is an argument.
 *
 * Times are whole microseconds, so that sums are exact. An interval is rounded down: nobody who keeps to a limit is ever refused.
 */

/** So many in a period, and so many at once. All are positive integers. */
export interface Rate {
  readonly count: number;
  readonly periodMs: number;
  readonly burst: number;
}

/** A bucket as it is; no arrival time means that it was never used. */
export interface Bucket {
  readonly rate: Rate;
  readonly arrivalUs: number | undefined;
}

export type Spent =
  | { readonly allowed: true; /** New arrival times, in the order of the buckets. */ readonly arrivalsUs: number[] }
  | {
      readonly allowed: false;
      /** Which bucket makes the client wait longest. */
      readonly refusedBy: number;
      /** How long until all of them would allow it, if nobody else spends. */
      readonly retryAfterMs: number;
    };

const microseconds = (milliseconds: number): number => Math.round(milliseconds * 1000);

/** How far one use moves the arrival time. */
const intervalUs = ({ count, periodMs }: Rate): number => Math.max(1, Math.floor((periodMs * 1000) / count));

/** How far the arrival time may lie ahead. */
const reachUs = (rate: Rate): number => rate.burst * intervalUs(rate);

/**
 * The arrival time, now at the earliest. One that lies further ahead than any use could move it is from before the clock was put back,
 * and says nothing any more.
 */
function present({ rate, arrivalUs = 0 }: Bucket, nowUs: number): number {
  return arrivalUs > nowUs + reachUs(rate) ? nowUs : Math.max(arrivalUs, nowUs);
}

/** The arrival time after one more use, whether it is allowed or not. */
const afterUse = (bucket: Bucket, nowUs: number): number => present(bucket, nowUs) + intervalUs(bucket.rate);

/** One use of every bucket, or of none. */
export function spend(buckets: readonly Bucket[], nowMs: number): Spent {
  const nowUs = microseconds(nowMs);
  const arrivalsUs = buckets.map((bucket) => afterUse(bucket, nowUs));
  const waitsUs = buckets.map(({ rate }, index) => (arrivalsUs[index] ?? nowUs) - nowUs - reachUs(rate));
  const longestUs = Math.max(0, ...waitsUs);
  if (longestUs === 0) return { allowed: true, arrivalsUs };
  return { allowed: false, refusedBy: waitsUs.indexOf(longestUs), retryAfterMs: longestUs / 1000 };
}

/** The arrival time when a use has happened, whatever the limit says; a bucket is never fuller than full. */
export function record(bucket: Bucket, nowMs: number): number {
  const nowUs = microseconds(nowMs);
  return Math.min(afterUse(bucket, nowUs), nowUs + reachUs(bucket.rate));
}

/** The arrival time when one use is taken back. */
export function refund(bucket: Bucket, nowMs: number): number {
  const nowUs = microseconds(nowMs);
  return Math.max(nowUs, present(bucket, nowUs) - intervalUs(bucket.rate));
}

/** How long until the bucket allows one more use; 0 where it does now. */
export function waitMs(bucket: Bucket, nowMs: number): number {
  const outcome = spend([bucket], nowMs);
  return outcome.allowed ? 0 : outcome.retryAfterMs;
}

/** True for a bucket that is as good as new: it need not be kept. */
export const isUnused = ({ arrivalUs }: Bucket, nowMs: number): boolean =>
  arrivalUs === undefined || arrivalUs <= microseconds(nowMs);
