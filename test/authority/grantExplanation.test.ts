import * as fc from "fast-check";
import t from "tap";
import { bindingLevels, type Claims } from "../../src/attestation/evidence.ts";
import { decideGrant } from "../../src/authority/grantDecision.ts";
import { explainGrants } from "../../src/authority/grantExplanation.ts";
import type { GrantConfiguration } from "../../src/authority/grants.ts";
import { grant, id, verified } from "../support/grants.ts";

t.test("property: what explain says matches is what the decision allows, grant by grant and in all", (t) => {
  const claims: fc.Arbitrary<Claims> = fc.record({
    sub: fc.constantFrom("a", "a", "xa", 1),
    env: fc.constantFrom("dev", "a", "b"),
    n: fc.constantFrom(1, 2, "1"),
    host: fc.constantFrom("a", "b"),
  });
  const condition: fc.Arbitrary<NonNullable<GrantConfiguration["conditions"]>[number]> = fc.constantFrom(
    { claim: "env", equals: "dev" },
    { claim: "n", min: 1, max: 1 },
    { claim: "env", oneOf: ["a", "dev"] },
    { claim: "host", prefix: "a" },
  );
  const further = fc.record({
    source: fc.constant("other"),
    minBinding: fc.constantFrom("key", "bearer"),
    sameAs: fc.constant([{ claim: "host", as: "host" }]),
  });
  const written = fc.record({
    spiffeId: fc.constantFrom(id("dev/{sub}"), id("dev/x{sub}"), id("{env}/a"), id("other/{sub}")),
    minBinding: fc.constantFrom("nonce", "key", "bearer"),
    conditions: fc.array(condition, { maxLength: 2 }),
    allOf: fc.option(fc.tuple(further), { nil: undefined, freq: 2 }),
  });
  const evidence = fc.tuple(claims, fc.constantFrom(...bindingLevels), fc.constantFrom("dev", "other"));
  let allowed = 0;
  fc.assert(
    fc.property(fc.array(written, { maxLength: 4 }), fc.array(evidence, { maxLength: 4 }), (changes, shown) => {
      const grants = changes.map(({ allOf, minBinding, ...change }, place) =>
        grant({
          ...change,
          name: `g${place}`,
          minBinding: minBinding as "nonce",
          ...(allOf && { allOf: allOf as unknown as NonNullable<GrantConfiguration["allOf"]> }),
        }),
      );
      const pieces = shown.map((one) => verified(...one));
      const { decision, grants: explained } = explainGrants(grants, id("dev/a"), { profile: "workload" }, pieces);
      const decided = decideGrant(grants, id("dev/a"), pieces);
      const first = explained.find(({ allows }) => allows)?.grant;
      if (first !== undefined) allowed++;
      const same = "refused" in decided ? first === undefined : first === decided.grant;
      const each = explained.every(
        (one) => one.allows === !("refused" in decideGrant([one.grant], id("dev/a"), pieces)),
      );
      return same && each && "refused" in decision === "refused" in decided;
    }),
    { numRuns: 1500 },
  );
  t.ok(allowed > 50, `${allowed} were allowed`);
  t.end();
});

t.test("every check is told, also behind the one that fails", (t) => {
  const strict = grant({
    name: "strict",
    minBinding: "nonce",
    conditions: [
      { claim: "env", equals: "prod" },
      { claim: "level", min: 3 },
    ],
    allOf: [{ source: "other", minBinding: "key", sameAs: [{ claim: "host", as: "node" }] }],
  });
  const pieces = [verified({ sub: "b", env: "dev", node: "n1" }, "bearer"), verified({ host: "n2" }, "nonce", "other")];
  const [explained] = explainGrants([strict], id("dev/a"), { profile: "workload" }, pieces).grants;
  t.match(explained, { passedOver: undefined, allows: false, attempts: [{ allows: false }] });
  t.match(explained?.attempts[0]?.checks, [
    { key: "spiffeId", holds: false, expected: id("dev/a"), actual: id("dev/b") },
    { key: "conditions[0]", holds: false, expected: { claim: "env", equals: "prod" }, actual: "dev" },
    { key: "conditions[1]", holds: false, expected: { claim: "level", min: 3 } },
    { key: "minBinding", holds: false, expected: "nonce", actual: "bearer" },
    {
      key: "allOf[0]",
      holds: false,
      missed: "allOf[0]: sameAs (host as node)",
      pieces: [
        {
          checks: [
            { key: "sameAs[0]", holds: false, expected: { claim: "host", as: "node", value: "n1" }, actual: "n2" },
            { key: "minBinding", holds: true },
          ],
        },
      ],
    },
  ]);
  t.notOk(Object.hasOwn(explained?.attempts[0]?.checks[2] ?? {}, "actual"), "an absent claim has no value");
  t.end();
});

t.test("what is not asked is told too, and why", (t) => {
  const grants = [
    grant({ name: "elsewhere", spiffeId: id("prod/{sub}") }),
    grant({ name: "slow", profile: "workload" }),
    grant({ name: "silent", source: "other" }),
  ];
  const ofOther = explainGrants(grants, id("dev/a"), { profile: "other" }, [verified({ sub: "a" })]);
  t.same(
    ofOther.grants.map(({ passedOver }) => passedOver),
    ["shape", "profile", "profile"],
  );
  const any = explainGrants(grants, id("dev/a"), { profile: undefined }, [verified({ sub: "a" })]);
  t.match(any.decision, { grant: { name: "slow" } });
  t.same(
    any.grants.map(({ passedOver, attempts, allows }) => [passedOver, attempts.length, allows]),
    [
      ["shape", 0, false],
      [undefined, 1, true],
      [undefined, 0, false],
    ],
  );
  t.end();
});
