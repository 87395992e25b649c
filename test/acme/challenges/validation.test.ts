import t from "tap";
import { attempt, quoted, sameBytes, ValidationFailure } from "../../../src/acme/challenges/validation.ts";

const never = new AbortController().signal;

t.test("quoted shows only harmless characters of foreign text", (t) => {
  const cases: [foreign: string | Uint8Array, shown: string][] = [
    ["plain text, 100 %", '"plain text, 100 %"'],
    ["line\r\nbreak\0", '"line??break?"'],
    ["\x1b[31mred\x1b[0m\x9b1m", '"?[31mred?[0m?1m"'],
    ['<script>alert("&")</script>', '"?script?alert(???)?/script?"'],
    ["\u202egnp.exe \u200b\u2028", '"?gnp.exe ??"'],
    ["back\\slash `tick` it's", '"back?slash ?tick? it?s"'],
    [Buffer.from([0x61, 0xff, 0xfe, 0x62]), '"a??b"'],
    [new Uint8Array(), '""'],
  ];
  for (const [foreign, shown] of cases) t.equal(quoted(foreign), shown);
  t.equal(quoted("x".repeat(1_000_000), 10), `"${"x".repeat(10)}..."`, "text is cut");
  t.equal(quoted(Buffer.alloc(1_000_000, 0xff), 10), `"${"?".repeat(10)}..."`, "so are bytes");
  t.end();
});

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
