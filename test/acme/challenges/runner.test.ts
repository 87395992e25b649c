import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { createTurns } from "../../../src/acme/limits/turns.ts";
import { createValidationRunner, type ValidationRunnerParts } from "../../../src/acme/challenges/runner.ts";
import type { ValidationOutcome } from "../../../src/acme/challenges/validation.ts";
import { keptEveryMs } from "../../../src/acme/challenges/waiting.ts";
import type { Authorization, Challenge, OrderStore } from "../../../src/acme/ports.ts";
import { plainly } from "../../support/validationTargets.ts";
import { OutboundFailure } from "../../../src/outbound/failure.ts";

const signer = { id: "account", directory: "default", thumbprint: Buffer.alloc(32) };
const challenge: Challenge = { type: "http-01", token: "token", status: "pending" };
const authorization: Authorization = {
  id: "authorization",
  orderId: "order",
  profile: "server",
  identifier: { type: "dns", value: "a.example" },
  wildcard: false,
  subdomains: false,
  status: "pending",
  expiresAt: new Date(Date.now() + 86_400_000),
  challenges: [challenge],
  attestation: null,
};
const ok: ValidationOutcome = { ok: true };
const refusedConnection: ValidationOutcome = { ok: false, problem: "connection", detail: "refused", retryable: true };
const wrong: ValidationOutcome = { ok: false, problem: "unauthorized", detail: "wrong", retryable: false };
const ours = () => new OutboundFailure("ours", "the resolver cannot be used");

type Step = ValidationOutcome | Error | (() => Promise<ValidationOutcome>);

/** A runner whose attempts have these outcomes, the last one for ever, and a store that remembers one challenge. */
function world(steps: readonly Step[], options: Partial<ValidationRunnerParts> & { ended?: boolean } = {}) {
  const seen = {
    attempts: 0,
    stored: [] as Challenge[],
    ended: [] as Challenge[],
    errors: 0,
    troubles: 0,
    kept: [] as string[],
  };
  const note = (moved: Challenge): Promise<boolean> => {
    seen.stored.push(moved);
    return Promise.resolve(options.ended !== true);
  };
  const orders = {
    retrying: (_: string, moved: Challenge) => note(moved),
    validated: (_: string, moved: Challenge) => note(moved),
    failed: (_: string, moved: Challenge) => note(moved),
    keepValidations: (ids: readonly string[]) => Promise.resolve(void seen.kept.push(...ids)),
    readAuthorization: () =>
      Promise.resolve({
        status: "valid",
        object: { ...authorization, challenges: [{ ...challenge, status: "invalid" }] },
      }),
    reclaimValidations: () =>
      Promise.resolve([
        {
          signer,
          authorization: {
            ...authorization,
            challenges: [seen.stored.at(-1) ?? { ...challenge, status: "processing" }],
          },
        },
      ]),
  } as unknown as OrderStore;
  const runner = createValidationRunner({
    turns: createTurns(100),
    orders,
    validate: async () => {
      const step = steps[Math.min(seen.attempts, steps.length - 1)] ?? ok;
      seen.attempts += 1;
      if (step instanceof Error) throw step;
      return typeof step === "function" ? step() : step;
    },
    retries: { attempts: 3, retryDelayMs: 5 },
    accountOf: () => plainly.account,
    now: () => new Date(),
    patienceMs: 2_000,
    validSeconds: 60,
    onError: () => (seen.errors += 1),
    onOwnTrouble: () => (seen.troubles += 1),
    onEnded: (moved) => seen.ended.push(moved),
    ...options,
  });
  return { seen, runner };
}

t.test(
  "R8.2-1 a query that fails twice and then succeeds: valid, and meanwhile processing with what failed",
  async (t) => {
    const { seen, runner } = world([refusedConnection, refusedConnection, ok]);
    t.match(await runner.start(signer, authorization, challenge), { status: "valid", validated: String });
    t.same(
      seen.stored.map(({ status }) => status),
      ["processing", "processing", "valid"],
    );
    t.same(
      seen.stored.map(({ error }) => error?.subproblems?.length),
      [1, 2, undefined],
      "accumulated, and gone at last",
    );
    t.match(seen.stored[0], { retryAt: /^\d{4}-.*Z$/ });
    t.notOk(seen.stored.some(({ status, retryAt }) => status !== "processing" && retryAt !== undefined));
    t.equal(seen.ended.length, 1);
  },
);

t.test("R8.2-1 only when the attempts are used up it is invalid, and tells of all of them", async (t) => {
  const { seen, runner } = world([refusedConnection]);
  const ended = await runner.start(signer, authorization, challenge);
  t.match(ended, { status: "invalid", error: { type: /:connection$/, detail: "refused" } });
  t.equal(ended.error?.subproblems?.length, 3);
  t.equal(seen.attempts, 3);
});

t.test("a wrong answer is not asked for again", async (t) => {
  const { seen, runner } = world([refusedConnection, wrong]);
  t.match(await runner.start(signer, authorization, challenge), {
    status: "invalid",
    error: { type: /:unauthorized$/ },
  });
  t.equal(seen.attempts, 2);
});

t.test("H-29 our own trouble ends nothing, is not counted, and shows no error", async (t) => {
  const { seen, runner } = world([ours(), refusedConnection, ours(), refusedConnection, ok], { patienceMs: 50 });
  t.match(await runner.start(signer, authorization, challenge), { status: "processing", retryAt: String });
  while (seen.ended.length === 0) {
    await runner.hurry(authorization, challenge);
    await sleep(20);
  }
  t.match(seen.ended, [{ status: "valid" }]);
  t.equal(seen.troubles, 2);
  t.same(
    seen.stored.map(({ error }) => error?.subproblems?.length ?? 0),
    [0, 1, 1, 2, 0],
    "only what was found out about the name is told",
  );
});

t.test(
  "R8.2-1 a client's request brings the next attempt forward, though not at once, and is not counted",
  async (t) => {
    let good = false;
    const { seen, runner } = world([async () => (good ? ok : refusedConnection)], {
      retries: { attempts: 2, retryDelayMs: 60_000 },
      patienceMs: 100,
    });
    t.match(await runner.start(signer, authorization, challenge), {
      status: "processing",
      error: { detail: "refused" },
    });
    t.equal(seen.attempts, 1);
    const begun = Date.now();
    for (let n = 0; n < 5; n += 1) await runner.hurry(authorization, challenge);
    t.equal(seen.attempts, 1, "five requests in half a second make no query");
    while (seen.attempts < 2) await sleep(10);
    t.ok(Date.now() - begun > 800, "the next comes a second after the last");
    await sleep(20);
    t.equal(seen.stored.at(-1)?.status, "processing", "and that attempt is beside the server's own two");
    good = true;
    await runner.hurry(authorization, challenge);
    while (seen.attempts < 3) await sleep(10);
    await sleep(20);
    t.match(seen.ended, [{ status: "valid" }]);
  },
);

t.test("there is an end to what clients may ask for", async (t) => {
  const { seen, runner } = world([refusedConnection], { retries: { attempts: 10, retryDelayMs: 0 } });
  const past = Array.from({ length: 9 }, () => ({ type: "x", title: "x", detail: "x" }));
  const taken: Challenge = {
    ...challenge,
    status: "processing",
    error: { type: "x", title: "x", status: 400, detail: "x", subproblems: past },
  };
  t.match(await runner.start(signer, authorization, taken), { status: "invalid" });
  t.equal(seen.attempts, 1, "a validation that was taken over goes on counting");
});

t.test("what ended meanwhile stays ended", async (t) => {
  const { seen, runner } = world([refusedConnection], { ended: true });
  t.match(await runner.start(signer, authorization, challenge), { status: "invalid" }, "as the store has it");
  t.equal(seen.attempts, 1);
  t.same(seen.ended, []);
});

t.test("a fault stops the run, and the job takes it up again", async (t) => {
  const { seen, runner } = world([new TypeError("a bug"), ok]);
  t.match(await runner.start(signer, authorization, challenge), { status: "processing" });
  t.equal(seen.errors, 1);
  t.equal(await runner.resume(new Date()), 1);
  await sleep(20);
  t.match(seen.ended, [{ status: "valid" }]);
});

t.test("H-33 stopping leaves it processing, in an attempt and in a pause", async (t) => {
  const pausing = world([refusedConnection], { retries: { attempts: 3, retryDelayMs: 60_000 }, patienceMs: 30 });
  await pausing.runner.start(signer, authorization, challenge);
  await pausing.runner.stop();
  t.same(
    pausing.seen.stored.map(({ status }) => status),
    ["processing"],
  );
  t.equal(pausing.seen.errors, 0);
});

t.test("a validation that is under way here is not taken up a second time", async (t) => {
  const { promise, resolve } = Promise.withResolvers<ValidationOutcome>();
  const { seen, runner } = world([() => promise], { patienceMs: 10 });
  await runner.start(signer, authorization, challenge);
  await runner.resume(new Date());
  t.equal(seen.attempts, 1);
  resolve(ok);
  await sleep(10);
  t.match(seen.ended, [{ status: "valid" }]);
});

t.test(
  "H-33 a validation that waits for its account's turn is kept, so that no other process takes it up",
  async (t) => {
    const turns = createTurns(1);
    const leave = await turns.take(signer.id, new AbortController().signal);
    const { seen, runner } = world([ok], { turns, patienceMs: 10 });
    await runner.start(signer, authorization, challenge);
    await sleep(keptEveryMs + 1_500);
    t.same(seen.kept, [authorization.id]);
    t.equal(seen.attempts, 0);
    leave();
    await sleep(20);
    t.match(seen.ended, [{ status: "valid" }]);
  },
);
