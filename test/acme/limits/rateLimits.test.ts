import t from "tap";
import type { Rate } from "../../../src/acme/limits/gcra.ts";
import { createRateLimits, identityKey, type LimitName, type RateLimits } from "../../../src/acme/limits/rateLimits.ts";
import { Problem } from "../../../src/problem/problem.ts";

const off = {
  requestsPerAddress: undefined,
  newAccountsPerAddress: undefined,
  ordersPerAccount: undefined,
  certificatesPerIdentity: undefined,
  failedValidationsPerIdentifier: undefined,
};

function limits(rates: Partial<Record<LimitName, Rate>>, bucketsMax = 1000) {
  const clock = { now: 1_000_000 };
  const refused: string[] = [];
  const made = createRateLimits({
    rates: { ...off, ...rates },
    bucketsMax,
    helpUrl: "https://ca.example/limits",
    now: () => new Date(clock.now),
    onRefused: (limit) => refused.push(limit),
  });
  return { made, clock, refused };
}

/** The refusal of some uses, or undefined. */
function refusal(made: RateLimits, ...uses: [LimitName, string][]): Problem | undefined {
  try {
    made.spend(uses.map(([limit, key]) => ({ limit, key })));
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  return undefined;
}

const minute = (count: number, burst: number): Rate => ({ count, periodMs: 60_000, burst });

t.test(
  "R6.6-1 over a limit: rateLimited with Retry-After and a help link, and later it is allowed again",
  async (t) => {
    const { made, clock, refused } = limits({ ordersPerAccount: minute(6, 2) });
    t.notOk(refusal(made, ["ordersPerAccount", "a"]));
    t.notOk(refusal(made, ["ordersPerAccount", "a"]));
    const over = refusal(made, ["ordersPerAccount", "a"]);
    t.match(over, { code: "rateLimited", status: 429, options: { retryAfterSeconds: 10 } });
    t.equal(over?.options.headers?.["link"], '<https://ca.example/limits>;rel="help"');
    t.equal(
      over?.message,
      "too many orders and authorizations of this account: 2 at once and 6 in 60 seconds are allowed",
    );
    t.notOk(refusal(made, ["ordersPerAccount", "b"]), "somebody else is not concerned");
    t.same(refused, ["ordersPerAccount"]);
    clock.now += 9_999;
    t.ok(refusal(made, ["ordersPerAccount", "a"]));
    clock.now += 1;
    t.notOk(refusal(made, ["ordersPerAccount", "a"]), "exactly when it was told");
  },
);

t.test("a batch is spent as a whole or not at all", async (t) => {
  const { made } = limits({ ordersPerAccount: minute(1, 5), certificatesPerIdentity: minute(1, 1) });
  t.notOk(refusal(made, ["ordersPerAccount", "a"], ["certificatesPerIdentity", "x"]));
  for (let i = 0; i < 20; i++) t.ok(refusal(made, ["ordersPerAccount", "a"], ["certificatesPerIdentity", "x"]));
  for (let i = 0; i < 4; i++) t.notOk(refusal(made, ["ordersPerAccount", "a"]), "the refused ones used nothing");
  t.ok(refusal(made, ["ordersPerAccount", "a"]));
});

t.test(
  "a limit that is off is none; checking uses nothing; what is recorded counts; what is given back does not",
  async (t) => {
    const { made } = limits({ failedValidationsPerIdentifier: minute(1, 2) });
    for (let i = 0; i < 5000; i++) made.spend([{ limit: "requestsPerAddress", key: "x" }]);
    const use = { limit: "failedValidationsPerIdentifier", key: "x" } as const;
    for (let i = 0; i < 10; i++) made.check([use]);
    made.record(use);
    made.check([use]);
    made.record(use);
    made.record(use);
    t.throws(() => made.check([use]), { code: "rateLimited", options: { retryAfterSeconds: 60 } });
    made.refund(use);
    made.check([use]);
    t.same(
      made.sizes().find(({ limit }) => limit === "requestsPerAddress"),
      { limit: "requestsPerAddress", buckets: 0 },
    );
  },
);

t.test("an operator sees who is over a limit, and resets one or all", async (t) => {
  const { made, clock } = limits({ ordersPerAccount: minute(1, 1) });
  for (const key of ["a", "b", "b", "c"]) refusal(made, ["ordersPerAccount", key]);
  clock.now += 30_000;
  refusal(made, ["ordersPerAccount", "d"]);
  const row = () => made.list(3).find(({ limit }) => limit === "ordersPerAccount");
  t.match(row(), { rate: minute(1, 1), buckets: 4, refused: 1 });
  t.same(row()?.exceeded[0], { key: "d", retryAfterSeconds: 60 }, "longest wait first");
  t.equal(row()?.exceeded.length, 3, "no more than asked for");
  t.equal(made.reset("ordersPerAccount", "d"), 1);
  t.equal(made.reset("ordersPerAccount", "nobody"), 0);
  t.notOk(refusal(made, ["ordersPerAccount", "d"]));
  t.equal(made.reset("ordersPerAccount", undefined), 4);
  t.match(row(), { buckets: 0, exceeded: [] });
});

t.test("H-24 memory is bounded: with more sources than buckets the one used longest ago goes", async (t) => {
  const { made } = limits({ newAccountsPerAddress: minute(1, 1) }, 100);
  t.notOk(refusal(made, ["newAccountsPerAddress", "first"]));
  for (let i = 0; i < 49; i++) refusal(made, ["newAccountsPerAddress", String(i)]);
  t.ok(refusal(made, ["newAccountsPerAddress", "first"]), "the fifty that were used last are always there");
  for (let i = 0; i < 100_000; i++) refusal(made, ["newAccountsPerAddress", `flood ${i}`]);
  const kept = made.sizes().find(({ limit }) => limit === "newAccountsPerAddress")?.buckets ?? 0;
  t.ok(kept >= 50 && kept <= 100, `${kept} of 100001`);
  t.equal(made.list(1000).find(({ limit }) => limit === "newAccountsPerAddress")?.exceeded.length, kept);
  t.equal(made.reset("newAccountsPerAddress", undefined), kept);
});

t.test("a limit has buckets of its own: a flood against one forgets nothing of another", async (t) => {
  const { made } = limits({ newAccountsPerAddress: minute(1, 1), ordersPerAccount: minute(1, 1) }, 100);
  refusal(made, ["ordersPerAccount", "a"]);
  for (let i = 0; i < 1000; i++) refusal(made, ["newAccountsPerAddress", String(i)]);
  t.ok(refusal(made, ["ordersPerAccount", "a"]));
});

t.test("identities of different types never share a bucket", async (t) => {
  const keys = [
    { type: "dns", value: "10.0.0.1" },
    { type: "ip", value: "10.0.0.1" },
    { type: "uri", value: "spiffe://a/b" },
  ].map(identityKey);
  t.equal(new Set(keys).size, 3);
});
