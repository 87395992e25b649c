/**
 * The rate limits of this process: for each limit as many buckets as are configured, the ones used longest ago first to go. With N processes
 * on one database a client gets up to N times a limit; the other way, a row that every request writes, would cost each issuance a
 * commit to slow down the few that should be. What must be exact (orders that are pending) is counted by the store.
 */
import { problem, type Problem } from "../../problem/problem.ts";
import { createLru, type LRU } from "../../cache/lru.ts";
import { isUnused, record, refund, spend, waitMs, type Bucket, type Rate } from "./gcra.ts";

/** What is counted, and how it reads in a sentence. */
const counted = {
  requestsPerAddress: "requests from one source address",
  newAccountsPerAddress: "new accounts from one source address",
  ordersPerAccount: "orders and authorizations of this account",
  certificatesPerIdentity: "certificates for this identity",
  failedValidationsPerIdentifier: "failed validations of this identifier by this account",
} as const;

export type LimitName = keyof typeof counted;
export const limitNames = Object.keys(counted) as LimitName[];

/** One use: of which limit, and whose. */
export interface Use {
  readonly limit: LimitName;
  /** An address, an account's id, an identity …; see `docs/operations.md`. */
  readonly key: string;
}

/** A limit as an operator sees it. */
export interface LimitState {
  readonly limit: LimitName;
  /** Undefined where the limit is off. */
  readonly rate: Rate | undefined;
  /** The same for people. */
  readonly sentence: string | undefined;
  /** Buckets in memory that are not as good as new. */
  readonly buckets: number;
  /** Requests refused since the start. */
  readonly refused: number;
  /** Keys that are refused at the moment, longest wait first. */
  readonly exceeded: readonly { readonly key: string; readonly retryAfterSeconds: number }[];
}

export interface RateLimits {
  /** One use of each, or of none. The uses differ in limit or key. @throws {Problem} rateLimited */
  spend(uses: readonly Use[]): void;
  /** The same without using anything. @throws {Problem} rateLimited */
  check(uses: readonly Use[]): void;
  /** Counts what has happened already, whatever the limit says. */
  record(use: Use): void;
  /** Gives a use back that turned out to be none. */
  refund(use: Use): void;
  /** All limits, each with at most `most` keys that are refused now. */
  list(most: number): LimitState[];
  /** How many buckets each limit keeps. */
  sizes(): { readonly limit: LimitName; readonly buckets: number }[];
  /** Makes one bucket, or all of a limit, as good as new; returns how many there were. */
  reset(limit: LimitName, key: string | undefined): number;
  /** The refusal of a limit that is counted elsewhere; it is counted with the others in `refusals`. */
  refusal(limit: string, detail: string, retryAfterSeconds: number): Problem;
}

export interface RateLimitsOptions {
  /** A limit without a rate is off. */
  readonly rates: Readonly<Record<LimitName, Rate | undefined>>;
  /** Buckets of each limit. */
  readonly bucketsMax: number;
  /** Where people read about the limits; becomes `Link rel="help"` (RFC 8555 §6.6). */
  readonly helpUrl: string;
  readonly now: () => Date;
  /** Told of every refusal. */
  readonly onRefused: (limit: string) => void;
}

/** Empty at first: a restart forgets what was used. */
export function createRateLimits({ rates, bucketsMax, helpUrl, now, onRefused }: RateLimitsOptions): RateLimits {
  const opened = (rate: Rate | undefined): Store => ({ rate, refused: 0, arrivalsUs: createLru(bucketsMax) });
  const stores = new Map(limitNames.map((limit) => [limit, opened(rates[limit])]));
  const storeOf = (limit: LimitName): Store => stores.get(limit) ?? opened(undefined);

  function refusal(limit: string, detail: string, retryAfterSeconds: number): Problem {
    onRefused(limit);
    return problem("rateLimited", detail, { retryAfterSeconds, headers: { link: `<${helpUrl}>;rel="help"` } });
  }

  /** The uses that are limited at all, and what becomes of them. */
  function attempt(uses: readonly Use[]): { open: { store: Store; key: string }[]; arrivalsUs: readonly number[] } {
    const open: { store: Store; key: string; bucket: Bucket; limit: LimitName }[] = [];
    for (const { limit, key } of uses) {
      const store = storeOf(limit);
      if (store.rate !== undefined) open.push({ store, key, limit, bucket: bucketOf(store, store.rate, key) });
    }
    const outcome = spend(
      open.map(({ bucket }) => bucket),
      now().getTime(),
    );
    if (outcome.allowed) return { open, arrivalsUs: outcome.arrivalsUs };
    const by = open[outcome.refusedBy];
    if (by === undefined) throw new Error("a refusal by none of the limits");
    by.store.refused += 1;
    const detail = `too many ${sentence(by.limit, by.bucket.rate)}`;
    throw refusal(by.limit, detail, Math.ceil(outcome.retryAfterMs / 1000));
  }

  return {
    refusal,
    spend(uses) {
      const { open, arrivalsUs } = attempt(uses);
      for (const [index, { store, key }] of open.entries()) store.arrivalsUs.set(key, arrivalsUs[index] ?? 0);
    },
    check: (uses) => void attempt(uses),
    record({ limit, key }) {
      const store = storeOf(limit);
      if (store.rate === undefined) return;
      store.arrivalsUs.set(key, record(bucketOf(store, store.rate, key), now().getTime()));
    },
    refund({ limit, key }) {
      const store = storeOf(limit);
      if (store.rate === undefined) return;
      store.arrivalsUs.set(key, refund(bucketOf(store, store.rate, key), now().getTime()));
    },
    list: (most) => [...stores].map(([limit, store]) => stateOf(limit, store, most, now().getTime())),
    sizes: () => [...stores].map(([limit, store]) => ({ limit, buckets: store.arrivalsUs.size })),
    reset(limit, key) {
      const { arrivalsUs } = storeOf(limit);
      if (key !== undefined) return arrivalsUs.delete(key) ? 1 : 0;
      const { size } = arrivalsUs;
      arrivalsUs.clear();
      return size;
    },
  };
}

/** One limit: the arrival times of its buckets. */
interface Store {
  readonly rate: Rate | undefined;
  refused: number;
  readonly arrivalsUs: LRU<string, number>;
}

const bucketOf = ({ arrivalsUs }: Store, rate: Rate, key: string): Bucket => ({ rate, arrivalUs: arrivalsUs.get(key) });

const sentence = (limit: LimitName, { count, periodMs, burst }: Rate): string =>
  `${counted[limit]}: ${burst} at once and ${count} in ${periodMs / 1000} seconds are allowed`;

function stateOf(limit: LimitName, { rate, refused, arrivalsUs }: Store, most: number, nowMs: number): LimitState {
  if (rate === undefined) return { limit, rate, sentence: undefined, buckets: 0, refused, exceeded: [] };
  let buckets = 0;
  const exceeded: { key: string; retryAfterSeconds: number }[] = [];
  for (const [key, arrivalUs] of arrivalsUs.entries()) {
    const bucket = { rate, arrivalUs };
    if (isUnused(bucket, nowMs)) continue;
    buckets += 1;
    const wait = waitMs(bucket, nowMs);
    if (wait > 0) exceeded.push({ key, retryAfterSeconds: Math.ceil(wait / 1000) });
  }
  exceeded.sort((a, b) => b.retryAfterSeconds - a.retryAfterSeconds);
  return { limit, rate, sentence: sentence(limit, rate), buckets, refused, exceeded: exceeded.slice(0, most) };
}

/** An identifier as a part of a key. */
export const identityKey = ({ type, value }: { readonly type: string; readonly value: string }): string =>
  type === "uri" ? value : `${type} ${value}`;
