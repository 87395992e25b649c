import t from "tap";
import { stateOf } from "../../src/inventory/json.ts";

t.test("revoked counts before expired; the second of notAfter belongs to the validity", async (t) => {
  const notAfter = new Date("2026-01-01T00:00:00Z");
  const state = (revokedAt: Date | null, now: string) => stateOf({ revokedAt, notAfter }, new Date(now));
  t.equal(state(null, "2025-12-31T23:59:59Z"), "valid");
  t.equal(state(null, "2026-01-01T00:00:00Z"), "valid");
  t.equal(state(null, "2026-01-01T00:00:01Z"), "expired");
  t.equal(state(notAfter, "2025-12-31T23:59:59Z"), "revoked");
  t.equal(state(notAfter, "2026-01-02T00:00:00Z"), "revoked");
});
