import fc from "fast-check";
import t, { type Test } from "tap";
import { isUnused, record, refund, spend, waitMs, type Rate } from "../../../src/acme/limits/gcra.ts";

const rate = fc.record({
  count: fc.integer({ min: 1, max: 10_000 }),
  periodMs: fc.constantFrom(1_000, 60_000, 3_600_000),
  burst: fc.integer({ min: 1, max: 200 }),
});
const start = fc.integer({ min: 0, max: 2 ** 40 });

/** Asserts a property. */
const holds = <T>(t: Test, property: fc.IProperty<T>, parameters?: fc.Parameters<T>): void => {
  t.doesNotThrow(() => fc.assert(property, parameters));
};

/** Sends requests at these times; resolves to the times that were let through. */
function passed(limit: Rate, times: readonly number[]): number[] {
  let arrivalUs: number | undefined;
  return times.filter((now) => {
    const outcome = spend([{ rate: limit, arrivalUs }], now);
    if (outcome.allowed) [arrivalUs] = outcome.arrivalsUs;
    return outcome.allowed;
  });
}

t.test("exactly `burst` pass at once, then one for each interval", async (t) => {
  const limit = { count: 60, periodMs: 60_000, burst: 5 };
  t.equal(
    passed(
      limit,
      Array.from({ length: 20 }, () => 1000),
    ).length,
    5,
  );
  t.same(passed(limit, [0, 0, 0, 0, 0, 0, 999, 1000, 1000, 1999, 2000]), [0, 0, 0, 0, 0, 1000, 2000]);
});

t.test("the limit holds in every window: at most burst + elapsed / interval", async (t) => {
  holds(
    t,
    fc.property(rate, start, fc.array(fc.integer({ min: 0, max: 5_000 }), { maxLength: 300 }), (limit, from, gaps) => {
      let now = from;
      const times = gaps.map((gap) => (now += gap));
      const through = passed(limit, times);
      for (const [first, begin] of through.entries()) {
        for (let last = first; last < through.length; last++) {
          const elapsed = (through[last] ?? 0) - begin;
          // The interval as it is counted, in whole microseconds and never longer than the limit says.
          const most = limit.burst + (elapsed * 1000) / Math.floor((limit.periodMs * 1000) / limit.count);
          if (last - first + 1 > most + 0.01) return false;
        }
      }
      return true;
    }),
    { numRuns: 300 },
  );
});

t.test("whoever keeps to the rate is never refused", async (t) => {
  holds(
    t,
    fc.property(rate, start, (limit, from) => {
      const times = Array.from({ length: 200 }, (_, index) => from + index * Math.ceil(limit.periodMs / limit.count));
      return passed(limit, times).length === times.length;
    }),
  );
});

t.test("whoever waits as long as told passes, a moment earlier not", async (t) => {
  holds(
    t,
    fc.property(rate, start, (limit, now) => {
      let arrivalUs: number | undefined;
      for (;;) {
        const outcome = spend([{ rate: limit, arrivalUs }], now);
        if (outcome.allowed) {
          [arrivalUs] = outcome.arrivalsUs;
          continue;
        }
        const bucket = { rate: limit, arrivalUs };
        const early = spend([bucket], now + outcome.retryAfterMs - 0.002).allowed;
        return spend([bucket], now + outcome.retryAfterMs).allowed && !early && waitMs(bucket, now) > 0;
      }
    }),
  );
});

t.test("several buckets are all spent or none is", async (t) => {
  holds(
    t,
    fc.property(
      fc.array(rate, { minLength: 1, maxLength: 5 }),
      start,
      fc.integer({ min: 1, max: 60 }),
      (rates, now, n) => {
        const arrivals: (number | undefined)[] = rates.map(() => undefined);
        let through = 0;
        for (let i = 0; i < n; i++) {
          const outcome = spend(
            rates.map((one, index) => ({ rate: one, arrivalUs: arrivals[index] })),
            now,
          );
          if (!outcome.allowed) continue;
          through += 1;
          for (const [index, arrival] of outcome.arrivalsUs.entries()) arrivals[index] = arrival;
        }
        return through === Math.min(n, ...rates.map(({ burst }) => burst));
      },
    ),
  );
  const [narrow, wide] = [
    { count: 1, periodMs: 1000, burst: 1 },
    { count: 1, periodMs: 1000, burst: 9 },
  ];
  const refused = spend(
    [
      { rate: wide, arrivalUs: undefined },
      { rate: narrow, arrivalUs: 1_000_000 },
    ],
    0,
  );
  t.match(refused, { allowed: false, refusedBy: 1, retryAfterMs: 1000 });
});

t.test("what is recorded counts without a limit, and never beyond a full bucket", async (t) => {
  holds(
    t,
    fc.property(rate, start, fc.integer({ min: 0, max: 500 }), (limit, now, times) => {
      let arrivalUs: number | undefined;
      for (let i = 0; i < times; i++) arrivalUs = record({ rate: limit, arrivalUs }, now);
      const left = passed(limit, []).length + countLeft(limit, arrivalUs, now);
      return (
        left === Math.max(0, limit.burst - times) &&
        waitMs({ rate: limit, arrivalUs }, now) <= limit.periodMs / limit.count + 0.01
      );
    }),
  );
});

t.test("a use that is taken back may be made again", async (t) => {
  holds(
    t,
    fc.property(rate, start, fc.integer({ min: 1, max: 50 }), (limit, now, uses) => {
      const most = Math.min(uses, limit.burst);
      let arrivalUs: number | undefined;
      for (let i = 0; i < most; i++) arrivalUs = record({ rate: limit, arrivalUs }, now);
      const before = countLeft(limit, arrivalUs, now);
      return countLeft(limit, refund({ rate: limit, arrivalUs }, now), now) === before + 1;
    }),
  );
});

t.test(
  "a bucket that nobody used for long is as good as new, and a clock that goes back locks nobody out for ever",
  async (t) => {
    const limit = { count: 1, periodMs: 1000, burst: 2 };
    t.ok(isUnused({ rate: limit, arrivalUs: 5_000 }, 5));
    t.notOk(isUnused({ rate: limit, arrivalUs: 5_001 }, 5));
    t.ok(isUnused({ rate: limit, arrivalUs: undefined }, 0));
    t.match(spend([{ rate: limit, arrivalUs: 3_600_000_000 }], 0), { allowed: true }, "an hour back");
    t.match(spend([{ rate: limit, arrivalUs: 2_000_000 }], 0), { allowed: false }, "what a full bucket looks like");
  },
);

function countLeft(limit: Rate, first: number | undefined, now: number): number {
  let arrivalUs = first;
  for (let left = 0; ; left++) {
    const outcome = spend([{ rate: limit, arrivalUs }], now);
    if (!outcome.allowed) return left;
    [arrivalUs] = outcome.arrivalsUs;
  }
}
