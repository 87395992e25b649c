import t from "tap";
import type { FailedValidation } from "../../../src/acme/challenges/validation.ts";
import { validateWithRetries, validators } from "../../../src/acme/challenges/validators.ts";
import { addressesAre, closedPort, httpTarget, type Teardown, testOutbound } from "../../support/validationTargets.ts";

const signal = new AbortController().signal;
const token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
const keyAuthorization = `${token}.9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI`;
const validation = { identifier: { type: "dns", value: "target.example" }, token, keyAuthorization } as const;

async function outboundTo(t: Teardown, http01Port: number) {
  const dns = await addressesAre(t, "127.0.0.1");
  return testOutbound({ dnsResolver: dns.address, http01Port });
}

/** Breaks the first connections, then answers with `body`. */
function failingTarget(t: Teardown, failures: number, body: string): Promise<number> {
  let left = failures;
  return httpTarget(t, (_, response) => {
    if (left > 0) response.socket?.destroy();
    else response.end(body);
    left -= 1;
  });
}

t.test("there is a validator for each type", (t) => {
  t.same(Object.keys(validators), ["http-01", "dns-01", "tls-alpn-01"]);
  t.end();
});

t.test("R8.2-1 a target that fails twice and then answers is validated; each failure is told", async (t) => {
  const outbound = await outboundTo(t, await failingTarget(t, 2, keyAuthorization));
  const told: FailedValidation[] = [];
  const onRetry = (failure: FailedValidation) => void told.push(failure);
  const outcome = await validateWithRetries("http-01", validation, outbound, {
    attempts: 3,
    delaysMs: [1, 2],
    signal,
    onRetry,
  });
  t.same(outcome, { ok: true });
  t.match(told, [{ problem: "connection" }, { problem: "connection" }]);
  t.equal(told.length, 2);
});

t.test("the last failure stands when the attempts are used up", async (t) => {
  const outbound = await outboundTo(t, await closedPort());
  let retries = 0;
  const onRetry = () => void (retries += 1);
  const outcome = await validateWithRetries("http-01", validation, outbound, {
    attempts: 3,
    delaysMs: [1],
    signal,
    onRetry,
  });
  t.match(outcome, { ok: false, problem: "connection", retryable: true });
  t.equal(retries, 2);
});

t.test("a wrong answer is not asked for again", async (t) => {
  const outbound = await outboundTo(t, await failingTarget(t, 1, "wrong"));
  let retries = 0;
  const onRetry = () => void (retries += 1);
  const outcome = await validateWithRetries("http-01", validation, outbound, {
    attempts: 5,
    delaysMs: [],
    signal,
    onRetry,
  });
  t.match(outcome, { ok: false, problem: "unauthorized", retryable: false });
  t.equal(retries, 1);
});

t.test("H-33 giving up rejects, also in a pause", async (t) => {
  const outbound = await outboundTo(t, await closedPort());
  const controller = new AbortController();
  const onRetry = () => setTimeout(() => controller.abort(new Error("shutting down")), 20);
  const options = { attempts: 3, delaysMs: [60_000], signal: controller.signal, onRetry: () => void onRetry() };
  await t.rejects(validateWithRetries("http-01", validation, outbound, options));
  await t.rejects(validateWithRetries("http-01", validation, outbound, options), { message: "shutting down" });
});
