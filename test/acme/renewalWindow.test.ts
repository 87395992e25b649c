import { randomBytes } from "node:crypto";
import t from "tap";
import type { Renewal } from "../../src/acme/renewalPorts.ts";
import { retryAfterSecondsOf, suggestedWindow } from "../../src/acme/renewalWindow.ts";

const issuedAt = new Date("2026-11-26T12:00:00.250Z");
const at = (seconds: number): Date => new Date(Date.parse("2026-11-26T12:00:00Z") + seconds * 1000);

function renewal(lifetime: number, changes: Partial<Renewal> = {}): Renewal {
  const validity = { notBefore: at(-30), notAfter: at(lifetime), issuedAt };
  return { serial: randomBytes(16), ...validity, revokedAt: null, incident: null, ...changes };
}

/** Seconds after the issuance. */
function windowOf(of: Renewal): [start: number, end: number] {
  const { start, end } = suggestedWindow(of);
  return [start.getTime() - at(0).getTime(), end.getTime() - at(0).getTime()].map((ms) => ms / 1000) as [
    number,
    number,
  ];
}

t.test(
  "R9773-2 R9773-8 from a minute to a year: whole seconds inside the validity, with time left to renew",
  async (t) => {
    for (const lifetime of [60, 300, 900, 3600, 86_400, 90 * 86_400, 365 * 86_400]) {
      for (let round = 0; round < 50; round++) {
        const [start, end] = windowOf(renewal(lifetime));
        t.ok(Number.isInteger(start) && Number.isInteger(end) && start < end, `${lifetime}: ${start} to ${end}`);
        t.ok(start >= lifetime * 0.6 - 1 && end <= lifetime * 0.8 + 1, `${lifetime}: ${start} to ${end}`);
      }
      const wait = retryAfterSecondsOf(renewal(lifetime));
      t.ok(wait >= 1 && wait <= 21_600 && wait <= lifetime / 10, `${lifetime}: asked again after ${wait}`);
    }
  },
);

t.test("R9773-8 a thousand certificates issued at once do not share one window", async (t) => {
  for (const [lifetime, windows] of [
    [300, 25],
    [3600, 250],
    [86_400, 800],
  ] as const) {
    const starts = new Map<number, number>();
    for (let n = 0; n < 1000; n++) {
      const [start] = windowOf(renewal(lifetime));
      starts.set(start, (starts.get(start) ?? 0) + 1);
    }
    t.ok(starts.size >= windows, `${lifetime} s: ${starts.size} different windows`);
    t.ok(Math.max(...starts.values()) < 100, `${lifetime} s: none has a tenth of them`);
  }
});

t.test("a certificate always gets the same window", async (t) => {
  const one = renewal(900);
  t.same(suggestedWindow(one), suggestedWindow({ ...one }));
});

t.test("a start in the future counts, a backdated one does not", async (t) => {
  const [start, end] = windowOf(renewal(3600 + 300, { notBefore: at(3600) }));
  t.ok(start >= 3600 + 180 && end <= 3600 + 241, `${start} to ${end}`);
  const [backdated] = windowOf(renewal(60, { notBefore: at(-600) }));
  t.ok(backdated >= 36);
});

t.test("R9773-4 revoked, or under an incident: the window has passed already", async (t) => {
  const revokedAt = at(5);
  t.same(windowOf(renewal(900, { revokedAt })), [-55, 4]);
  t.same(windowOf(renewal(900, { incident: { since: at(7.9), explanationUrl: null } })), [-53, 6]);
});

t.test("the shortest of lives still has a window that begins before it ends", async (t) => {
  for (const lifetime of [-10, 0, 1, 2, 3, 10]) {
    const { start, end } = suggestedWindow(renewal(lifetime));
    t.ok(start < end && end <= at(lifetime), `${lifetime}`);
  }
});
