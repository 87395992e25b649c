import t from "tap";
import { explanationText } from "../../src/cli/explanationText.ts";

t.test("each condition is told with its claim, and what it misses once", async (t) => {
  const condition = { claim: "environment", oneOf: ["production"] };
  const checks = [
    { key: "conditions[0]", holds: true, expected: { claim: "owner", equals: "1" }, actual: "1" },
    { key: "conditions[1]", holds: false, missed: "conditions[1] (environment)", expected: condition, actual: "dev" },
    { key: "minBinding", holds: false, missed: "minBinding nonce (…)", expected: "nonce", actual: "bearer" },
    { key: "allOf[0]", holds: false, missed: "allOf[0]: there is no evidence of source node" },
    { key: "spiffeId", holds: false, missed: "claim ns is absent", expected: "spiffe://a.example/b" },
  ];
  const text = explanationText({
    spiffeId: "spiffe://a.example/b",
    quarantine: null,
    evidence: [],
    grants: [
      {
        name: "deploy",
        version: "0123456789abcdef",
        origin: "database",
        source: "ci",
        allows: false,
        attempts: [{ evidence: 0, allows: false, checks }],
        pinning: [],
      },
    ],
    notAsked: { grants: [], shape: 0, profile: 0, delegation: 0, inactive: 0 },
    counts: null,
    result: { allowed: false, code: "identityNotDerived", message: "no" },
  });
  t.equal(
    text.split("\n").slice(3, 8).join("\n"),
    `    ✓ conditions[0] (owner)
    ✗ conditions[1] (environment): expected {"claim":"environment","oneOf":["production"]}, found "dev"
    ✗ minBinding: expected "nonce", found "bearer"
    ✗ allOf[0]: there is no evidence of source node
    ✗ spiffeId: claim ns is absent; expected "spiffe://a.example/b", found nothing`,
  );
});
