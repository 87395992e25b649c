import t from "tap";
import { planOf, type PlannedIssuer } from "../../../src/authority/rotation/plan.ts";
import { day, testLines } from "../../support/rotation.ts";

const now = new Date("2026-11-26T12:00:00Z");
const inDays = (days: number): Date => new Date(now.getTime() + days * day * 1000);

const root: PlannedIssuer = {
  id: "root",
  kind: "root",
  name: "default",
  generation: 1,
  state: "active",
  parentId: null,
  validity: { notBefore: inDays(-100), notAfter: inDays(3000) },
  createdAt: inDays(-100),
  publishedAt: inDays(-100),
  retiringAt: null,
  keyIsHere: true,
};
const issuing: PlannedIssuer = {
  ...root,
  id: "issuing",
  kind: "issuing",
  parentId: "root",
  validity: { notBefore: inDays(-89), notAfter: inDays(1) },
};

/** When the one that follows is to be activated. */
function activation(next: PlannedIssuer, above: readonly PlannedIssuer[] = [root]): Date | undefined {
  const facts = { lines: testLines(), lastEnds: new Map(), afterlifeSeconds: day, now };
  const { moves } = planOf({ ...facts, issuers: [...above, issuing, next] });
  return moves.find(({ act, kind }) => act === "activate" && kind === "issuing")?.at;
}

const next: PlannedIssuer = {
  ...issuing,
  id: "next",
  generation: 2,
  state: "published",
  validity: { notBefore: inDays(-29), notAfter: inDays(61) },
  createdAt: inDays(-29),
  publishedAt: inDays(-29),
};

t.test("an issuer of which the certificate is not valid yet does not follow, however late it is", async (t) => {
  const due = activation(next);
  t.ok(due !== undefined && due <= now, "it is due");
  const ahead = { notBefore: inDays(5), notAfter: inDays(95) };
  t.same(activation({ ...next, validity: ahead }), ahead.notBefore, "made by a clock that was ahead");
  const newRoot: PlannedIssuer = { ...root, id: "new", generation: 2, state: "published", validity: ahead };
  t.same(activation({ ...next, parentId: "new" }, [root, newRoot]), ahead.notBefore, "below a root of such a clock");
});
