import t from "tap";
import { attempt, sameBytes, ValidationFailure } from "../../../src/acme/challenges/validation.ts";

const never = new AbortController().signal;

t.test("a failure's detail is printable and short", (t) => {
  const { message } = new ValidationFailure("dns", `\x1b[1m${"é".repeat(1000)}`);
  t.match(message, /^[\x20-\x7e]{300}$/);
  t.end();
});

t.test("sameBytes", (t) => {
  t.ok(sameBytes(Buffer.from("abc"), Buffer.from("abc")));
  t.notOk(sameBytes(Buffer.from("abc"), Buffer.from("abd")));
  t.notOk(sameBytes(Buffer.from("abc"), Buffer.from("ab")));
  t.end();
});

async function refuse(): Promise<void> {
  throw new ValidationFailure("tls", "no", { retryable: true });
}

t.test("attempt turns what happened into an outcome", async (t) => {
  t.same(await attempt(1000, never, async () => {}), { ok: true });
  t.same(await attempt(1000, never, refuse), { ok: false, problem: "tls", detail: "no", retryable: true });
});

t.test("attempt ends at its deadline even if the work does not, and tells the work", async (t) => {
  let told: AbortSignal | undefined;
  const outcome = await attempt(30, never, (signal) => {
    told = signal;
    return new Promise(() => {});
  });
  t.same(outcome, {
    ok: false,
    problem: "connection",
    detail: "no complete answer within 30 ms",
    retryable: true,
  });
  t.ok(told?.aborted);
});

async function fault(): Promise<void> {
  throw new TypeError("a bug");
}

t.test("attempt rejects when the caller gives up, and for faults that are ours", async (t) => {
  const controller = new AbortController();
  const attempted = attempt(1000, controller.signal, () => new Promise(() => {}));
  controller.abort(new Error("shutting down"));
  await t.rejects(attempted, { message: "shutting down" });
  await t.rejects(
    attempt(1000, controller.signal, async () => {}),
    { message: "shutting down" },
  );
  await t.rejects(attempt(1000, never, fault), TypeError);
});
