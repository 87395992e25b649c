import t from "tap";
import {
  failuresIn,
  longestPauseMs,
  ownTroublePauseMs,
  pauseMs,
  withFailure,
} from "../../../src/acme/challenges/attempts.ts";
import type { ProblemDocument } from "../../../src/problem/problem.ts";

const now = new Date("2026-11-26T12:00:00Z");
const identifier = { type: "dns", value: "a.example" } as const;

t.test("pauses double, and there is a longest one", (t) => {
  const retries = { attempts: 4, retryDelayMs: 1000 };
  t.same(
    [1, 2, 3].map((made) => pauseMs(retries, made)),
    [1000, 2000, 4000],
  );
  t.equal(pauseMs({ attempts: 10, retryDelayMs: 60_000 }, 9), 300_000);
  t.same([1, 2, 3, 4, 9].map(ownTroublePauseMs), [2000, 4000, 8000, 15_000, 15_000]);
  t.equal(longestPauseMs(retries), 15_000, "our own trouble's");
  t.equal(longestPauseMs({ attempts: 10, retryDelayMs: 60_000 }), 300_000);
  t.equal(longestPauseMs({ attempts: 1, retryDelayMs: 60_000 }), 60_000, "a client may ask for a second attempt");
  t.end();
});

t.test("R8.2-1 each failure is a subproblem, and the last one is the problem", (t) => {
  const first = withFailure(undefined, { problem: "dns", detail: "no such name" }, identifier, now);
  t.same(first, {
    type: "urn:ietf:params:acme:error:dns",
    title: "A DNS query failed during validation",
    status: 400,
    detail: "no such name",
    subproblems: [
      {
        type: "urn:ietf:params:acme:error:dns",
        title: "A DNS query failed during validation",
        detail: "no such name (2026-11-26T12:00:00Z)",
        identifier,
      },
    ],
  });
  const second = withFailure(first, { problem: "connection", detail: "refused" }, identifier, now);
  t.match(second, { type: "urn:ietf:params:acme:error:connection", detail: "refused" });
  t.equal(failuresIn(second), 2);
  let many: ProblemDocument | undefined;
  for (let n = 0; n < 30; n += 1) many = withFailure(many, { problem: "dns", detail: `failure ${n}` }, identifier, now);
  t.equal(failuresIn(many), 10, "only the latest are kept");
  t.match(many?.subproblems?.at(-1)?.detail, /^failure 29 /);
  t.equal(failuresIn(undefined), 0);
  t.end();
});
