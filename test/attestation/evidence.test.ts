import t from "tap";
import { bindingLevels, claimOf, isClaims, meetsBindingLevel, type Claims } from "../../src/attestation/evidence.ts";

t.test("binding levels are ordered", (t) => {
  for (const [strength, level] of bindingLevels.entries()) {
    for (const [least, other] of bindingLevels.entries()) {
      t.equal(meetsBindingLevel(level, other), strength <= least, `${level} where ${other} is asked for`);
    }
  }
  t.end();
});

t.test("claims named like members of every object are not found where they are not", (t) => {
  const claims: Claims = { a: {} };
  t.equal(claimOf(claims, "constructor"), undefined);
  t.equal(claimOf(claims, "__proto__"), undefined);
  t.same(claimOf(claims, "a"), {});
  t.ok(isClaims({}));
  for (const value of [[], null, "a", 1, undefined]) t.notOk(isClaims(value), JSON.stringify(value));
  t.end();
});
