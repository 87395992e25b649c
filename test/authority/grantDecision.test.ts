import { createHash } from "node:crypto";
import * as fc from "fast-check";
import t from "tap";
import type { BindingLevel, Claims } from "../../src/attestation/evidence.ts";
import { acceptFor, couldAllow, decideGrant, recordedClaims } from "../../src/authority/grantDecision.ts";
import type { GrantConfiguration } from "../../src/authority/grants.ts";
import { grant, id, outcome, surroundings, templated, verified } from "../support/grants.ts";

function hashed(value: string): { sha256: string } {
  return { sha256: createHash("sha256").update(JSON.stringify(value)).digest("hex") };
}

t.test("the development grant", (t) => {
  const allowed = decideGrant([grant()], id("dev/agent-7"), [verified({ sub: "agent-7" }, "bearer")]);
  t.match(allowed, { grant: { name: "dev", profile: "workload" }, evidence: [{ ref: "dev" }] });
  t.equal(outcome([grant()], id("dev/agent-8"), verified({ sub: "agent-7" })), "identityNotDerived");
  t.equal(outcome([], id("dev/agent-7"), verified({ sub: "agent-7" })), "identityNotDerived", "no grant, nothing");
  t.equal(outcome([grant()], id("dev/agent-7")), "identityNotDerived", "no evidence, nothing");
  t.equal(outcome([grant()], id("dev/agent-7"), verified({ sub: "agent-7" }, "nonce", "other")), "identityNotDerived");
  t.end();
});

t.test("derive and compare, byte for byte", (t) => {
  const sub = { sub: "agent-7" };
  for (const other of [
    "spiffe://mayfly.localhost/dev/Agent-7",
    "spiffe://mayfly.localhost/dev/agent-7/",
    "spiffe://mayfly.localhost/dev/agent-7/x",
    "spiffe://mayfly.localhost/dev//agent-7",
    "spiffe://mayfly.localhost/dev/./agent-7",
    "spiffe://mayfly.localhost/dev/x/../agent-7",
    "spiffe://mayfly.localhost/dev/agent%2d7",
    "spiffe://MAYFLY.localhost/dev/agent-7",
    "spiffe://mayfly.localhost.example/dev/agent-7",
    "SPIFFE://mayfly.localhost/dev/agent-7",
    "spiffe://mayfly.localhost/dev",
    "spiffe://mayfly.localhost",
    "",
  ]) {
    t.equal(outcome([grant()], other, verified(sub)), "identityNotDerived", other);
  }
  t.end();
});

t.test("what a claim may not be", (t) => {
  const illegal = [
    "a/b",
    "/",
    "",
    ".",
    "..",
    "a%2fb",
    "a b",
    "é",
    "ａ",
    "a\u0000",
    "a\n",
    "agent-7?",
    "agent-7#x",
    "{sub}",
    "x".repeat(2100),
    1.5,
    Number.MAX_SAFE_INTEGER + 1,
    Infinity,
    true,
    null,
    ["agent-7"],
    { sub: "agent-7" },
  ];
  for (const sub of illegal) {
    const spiffeId = id(`dev/${typeof sub === "string" ? sub : "agent-7"}`);
    t.equal(outcome([grant()], spiffeId, verified({ sub })), "identityNotDerived", JSON.stringify(sub)?.slice(0, 30));
    t.equal(outcome([grant()], id("dev/agent-7"), verified({ sub })), "identityNotDerived");
  }
  t.equal(outcome([grant()], id("dev/agent-7"), verified({})), "identityNotDerived", "absent");
  t.equal(
    outcome([templated("{constructor}")], id("Object"), verified({})),
    "identityNotDerived",
    "a member of Object",
  );
  t.equal(outcome([grant()], id("dev/42"), verified({ sub: 42 })), "allowed", "an integer");
  t.end();
});

t.test("beginnings, ends and transforms", (t) => {
  const table: [template: string, claims: Claims, path: string][] = [
    ["build-{run}", { run: 17 }, "build-17"],
    ["{run}.x", { run: "17" }, "17.x"],
    ["ns/{namespace}/sa/{sa}", { namespace: "a", sa: "b" }, "ns/a/sa/b"],
    ["{/kubernetes.io/pod/uid}", { "kubernetes.io": { pod: { uid: "u-1" } } }, "u-1"],
    ["x/{/a~1b/c~0d|lower}", { "a/b": { "c~d": "Q" } }, "x/q"],
    ["{https:~1~1x}", { "https:~1~1x": "plain" }, "plain"],
    ["{repo|lower}", { repo: "Octo-Repo" }, "octo-repo"],
    ["{sub|sha256hex}", { sub: "a/b@c é" }, createHash("sha256").update("a/b@c é").digest("hex")],
    ["v-{sub|sha256hex}-1", { sub: "x" }, `v-${createHash("sha256").update("x").digest("hex")}-1`],
  ];
  for (const [template, claims, path] of table) {
    t.equal(outcome([templated(template)], id(path), verified(claims)), "allowed", template);
    t.equal(outcome([templated(template)], id(`${path}x`), verified(claims)), "identityNotDerived", template);
  }
  t.equal(
    outcome([templated("{a|lower}")], id("k"), verified({ a: "\u212A" })),
    "identityNotDerived",
    "the Kelvin sign",
  );
  t.equal(
    outcome([templated(".{a}")], id(".."), verified({ a: "." })),
    "identityNotDerived",
    "a segment put together to ..",
  );
  t.equal(outcome([templated("{a|sha256hex}")], id("x"), verified({ a: "" })), "identityNotDerived");
  t.equal(outcome([templated("{/a/0}")], id("x"), verified({ a: ["x"] })), "identityNotDerived", "no way into arrays");
  const emptyHash = createHash("sha256").update("\ufffd").digest("hex");
  t.equal(outcome([templated("{a|sha256hex}")], id(emptyHash), verified({ a: "\ud800" })), "identityNotDerived");
  t.end();
});

t.test("property: whatever is derived is the requested ID, and no value reaches over its segment", (t) => {
  const template = templated("ns/{a}/x-{b}-y");
  const value = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.stringMatching(/^[A-Za-z0-9._-]{1,8}$/),
    fc.constantFrom(".", "..", "a/b"),
  );
  fc.assert(
    fc.property(value, value, (a, b) => {
      const spiffeId = id(`ns/${a}/x-${b}-y`);
      const legal = [a, b].every((one) => /^[A-Za-z0-9._-]+$/.test(one)) && a !== "." && a !== "..";
      return outcome([template], spiffeId, verified({ a, b })) === (legal ? "allowed" : "identityNotDerived");
    }),
    { numRuns: 500 },
  );
  t.pass();
  t.end();
});

t.test("conditions", (t) => {
  const holds = (condition: NonNullable<GrantConfiguration["conditions"]>[number], claims: Claims): boolean =>
    outcome([grant({ conditions: [condition] })], id("dev/a"), verified({ sub: "a", ...claims })) === "allowed";

  t.ok(holds({ claim: "env", equals: "prod" }, { env: "prod" }));
  t.ok(holds({ claim: "protected", equals: false }, { protected: false }));
  t.ok(holds({ claim: "/a/b", equals: 1 }, { a: { b: 1 } }));
  for (const env of ["Prod", "prod ", "", ["prod"], { prod: 1 }, true, null])
    t.notOk(holds({ claim: "env", equals: "prod" }, { env }));
  t.notOk(holds({ claim: "env", equals: "prod" }, {}), "absent");
  t.notOk(holds({ claim: "n", equals: 1 }, { n: "1" }), "types count");

  t.ok(holds({ claim: "env", oneOf: ["prod", "stage"] }, { env: "stage" }));
  t.notOk(holds({ claim: "env", oneOf: ["prod", "stage"] }, { env: "dev" }));
  t.notOk(holds({ claim: "env", oneOf: ["prod", "stage"] }, {}));

  const prefix = { claim: "path", prefix: "group/project" };
  for (const path of ["group/project", "group/project/x", "group/project/x/y"]) t.ok(holds(prefix, { path }), path);
  const outside = [
    "group/project-x",
    "group/projec",
    "group",
    "x/group/project",
    "group/project/",
    "group/project//x",
    "group/project/../other",
    "",
  ];
  for (const path of outside) t.notOk(holds(prefix, { path }), path);
  t.notOk(holds(prefix, { path: ["group/project"] }));
  t.notOk(holds(prefix, {}));

  const range = { claim: "level", min: 2, max: 4 };
  for (const level of [2, 3.5, 4]) t.ok(holds(range, { level }), String(level));
  for (const level of [1.9, 4.1, "3", null, [3], Infinity]) t.notOk(holds(range, { level }), JSON.stringify(level));
  t.notOk(holds({ claim: "level", min: 2 }, { level: Infinity }), "1e400 is no number");
  t.notOk(holds({ claim: "level", max: 2 }, {}));

  const all = grant({
    conditions: [
      { claim: "a", equals: 1 },
      { claim: "b", equals: 2 },
    ],
  });
  t.equal(outcome([all], id("dev/a"), verified({ sub: "a", a: 1, b: 2 })), "allowed");
  t.equal(outcome([all], id("dev/a"), verified({ sub: "a", a: 1, b: 3 })), "identityNotDerived", "all of them");
  t.end();
});

t.test("binding levels", (t) => {
  const levels: BindingLevel[] = ["nonce", "key", "bearer", "document"];
  for (const [need, minBinding] of levels.entries()) {
    for (const [got, level] of levels.entries()) {
      const expected = got <= need ? "allowed" : "bindingMissing";
      t.equal(
        outcome([grant({ minBinding })], id("dev/a"), verified({ sub: "a" }, level)),
        expected,
        `${level} for ${minBinding}`,
      );
    }
  }
  t.end();
});

t.test("several grants, several pieces of evidence", (t) => {
  const strict = grant({ name: "strict", minBinding: "nonce", conditions: [{ claim: "env", equals: "prod" }] });
  const elsewhere = grant({ name: "elsewhere", source: "other" });
  const claims = { sub: "a" };
  t.match(decideGrant([strict, grant(), elsewhere], id("dev/a"), [verified(claims)]), { grant: { name: "dev" } });
  t.match(decideGrant([elsewhere, grant()], id("dev/a"), [verified(claims), verified(claims, "nonce", "other")]), {
    grant: { name: "elsewhere" },
    evidence: [{ ref: "other" }],
  });
  t.match(decideGrant([grant()], id("dev/a"), [verified({ sub: "b" }), verified(claims)]), { evidence: [{ claims }] });

  const production = { sub: "a", env: "prod" };
  const tooWeak = decideGrant([elsewhere, strict], id("dev/a"), [
    verified({ sub: "x" }, "nonce", "other"),
    verified(production, "bearer"),
  ]);
  t.match(
    tooWeak,
    { refused: "bindingMissing", nearest: { grant: "strict", version: strict.version } },
    "the nearest miss is told",
  );
  t.end();
});

t.test("refusals say what failed and nothing of the policy or the claims", (t) => {
  const secretive = grant({
    name: "hidden-name",
    conditions: [{ claim: "hidden-claim", equals: "hidden-value" }],
    minBinding: "nonce",
  });
  const cases = [
    verified({}),
    verified({ sub: "hidden/sub" }),
    verified({ sub: "b" }),
    verified({ sub: "a" }),
    verified({ sub: "a", "hidden-claim": "hidden-value" }, "bearer"),
    verified({ sub: "a" }, "nonce", "other"),
  ];
  const messages = cases.map((evidence) => {
    const decision = decideGrant([secretive], id("dev/a"), [evidence]);
    return "refused" in decision ? decision.message : "allowed";
  });
  t.equal(new Set(messages).size, 5, "each its own (absent and illegal claims share one)");
  for (const message of messages) t.notMatch(message, /hidden|allowed|dev\/a|nonce/, message);
  const decision = decideGrant([secretive], id("dev/a"), [verified({ sub: "a" })]);
  t.match(decision, { nearest: { grant: "hidden-name", missed: "conditions[0] (hidden-claim)" } }, "the log has more");
  t.end();
});

t.test("what could allow an ID, and accept", (t) => {
  const grants = [
    grant({ name: "a", minBinding: "nonce" }),
    grant({ name: "b", minBinding: "bearer" }),
    grant({ name: "c", minBinding: "key" }),
    grant({ name: "d", source: "east", spiffeId: id("ns/{namespace}/sa/{serviceAccount}") }),
    grant({ name: "e", source: "other", spiffeId: id("dev/{sub|lower}"), minBinding: "nonce" }),
  ];
  const accept = (spiffeId: string) => acceptFor(grants, surroundings.sources, spiffeId);
  t.same(accept(id("dev/agent")), [
    { format: "jwt", ref: "dev", minBinding: "bearer" },
    { format: "jwt", ref: "other", minBinding: "nonce" },
  ]);
  t.same(accept(id("dev/Agent")), [{ format: "jwt", ref: "dev", minBinding: "bearer" }], "never lower-case");
  t.same(accept(id("ns/x/sa/y")), [{ format: "k8s", ref: "east", minBinding: "bearer" }]);
  for (const other of [
    id("prod/agent"),
    id("dev/agent/x"),
    id("dev"),
    "spiffe://other/dev/agent",
    "https://x",
    id("dev/é"),
    "",
  ]) {
    t.same(accept(other), [], other);
  }
  t.notOk(couldAllow(templated("ab{x}ba"), id("aba")), "beginning and end do not share characters");
  t.notOk(couldAllow(templated("ab{x}ba"), id("abba")), "nor is nothing a value");
  t.ok(couldAllow(templated("ab{x}ba"), id("abxba")));
  t.notOk(couldAllow(templated("{x|sha256hex}"), id("abc")));
  t.end();
});

t.test("property: what a grant allows, it could allow", (t) => {
  const value = fc.stringMatching(/^[A-Za-z0-9._-]{1,12}$/);
  const template = fc.constantFrom("{a}", "p{a}", "{a|lower}", "x/{a|sha256hex}", "{a}s/{b}", ".{a}.");
  fc.assert(
    fc.property(template, value, value, (text, a, b) => {
      const one = templated(text);
      const path = text
        .replace("{a}", a)
        .replace("{b}", b)
        .replace("{a|lower}", a.toLowerCase())
        .replace("{a|sha256hex}", createHash("sha256").update(a).digest("hex"));
      return outcome([one], id(path), verified({ a, b })) !== "allowed" || couldAllow(one, id(path));
    }),
  );
  t.pass();
  t.end();
});

t.test("claims that are kept", (t) => {
  const keeper = grant({ recordClaims: ["sub", "/a/b", "long", "nul", "lone", "absent"] });
  const long = "x".repeat(2000);
  const kept = recordedClaims(keeper, { sub: "a", a: { b: [1] }, long, nul: "\0", lone: "\ud800", email: "e" });
  t.same(kept, { sub: "a", "/a/b": [1], long: hashed(long), nul: hashed("\0"), lone: hashed("\ud800") });
  t.same(recordedClaims(grant(), { sub: "a" }), {}, "none unless said");
  t.end();
});

const node: NonNullable<GrantConfiguration["allOf"]>[number] = {
  source: "other",
  minBinding: "nonce",
  sameAs: [{ claim: "host", as: "node" }],
};
const pod = { sub: "a", node: "n1" };

t.test("allOf: further evidence must be there, fit, and come from the same machine", (t) => {
  const both = grant({ allOf: [{ ...node, conditions: [{ claim: "secureBoot", equals: true }] }] });
  const tpm = { host: "n1", secureBoot: true };
  const judged = (...evidence: ReturnType<typeof verified>[]) => outcome([both], id("dev/a"), ...evidence);
  t.equal(judged(verified(pod), verified(tpm, "nonce", "other")), "allowed");
  t.equal(judged(verified(tpm, "nonce", "other"), verified(pod)), "allowed", "in whatever order");
  t.equal(judged(verified(pod)), "identityNotDerived", "a piece is missing");
  t.equal(judged(verified(tpm, "nonce", "other")), "identityNotDerived", "the identity's own piece is missing");
  t.equal(judged(verified(pod), verified(tpm)), "identityNotDerived", "of another source");
  t.equal(
    judged(verified(pod), verified({ ...tpm, host: "n2" }, "nonce", "other")),
    "identityNotDerived",
    "two machines",
  );
  t.equal(judged(verified(pod), verified(tpm, "key", "other")), "identityNotDerived", "bound less than asked");
  t.equal(judged(verified(pod), verified({ ...tpm, secureBoot: "true" }, "nonce", "other")), "identityNotDerived");
  t.equal(
    judged(verified(pod), verified({ host: "n2" }, "nonce", "other"), verified(tpm, "nonce", "other")),
    "allowed",
    "one that does not fit hides none that does",
  );
  t.equal(
    judged(verified({ sub: "a", node: "n2" }), verified(pod), verified(tpm, "nonce", "other")),
    "allowed",
    "nor does another first piece",
  );
  const decision = decideGrant([both], id("dev/a"), [verified(tpm, "nonce", "other"), verified(pod)]);
  t.match(
    decision,
    {
      evidence: [
        { ref: "dev", claims: pod },
        { ref: "other", claims: tpm },
      ],
    },
    "the identity's first",
  );
  const refused = decideGrant([both], id("dev/a"), [verified(pod), verified({ ...tpm, host: "n2" }, "nonce", "other")]);
  t.match(refused, {
    message: "This identity requires further evidence that fits",
    nearest: { missed: "allOf[0]: sameAs (host as node)" },
  });
  t.end();
});

t.test("allOf: sameAs ties texts and numbers only, and nothing by their absence", (t) => {
  const both = grant({ allOf: [node] });
  const values: unknown[] = [true, null, ["n1"], { a: 1 }, undefined];
  for (const value of values) {
    const [own, other] = [{ sub: "a", node: value } as Claims, { host: value } as Claims];
    const claims = [own, other].map((one) => JSON.parse(JSON.stringify(one)) as Claims);
    t.equal(
      outcome([both], id("dev/a"), verified(claims[0] ?? {}), verified(claims[1] ?? {}, "nonce", "other")),
      "identityNotDerived",
      JSON.stringify(value),
    );
  }
  t.equal(
    outcome([both], id("dev/a"), verified({ sub: "a", node: 7 }), verified({ host: 7 }, "nonce", "other")),
    "allowed",
  );
  t.equal(
    outcome([both], id("dev/a"), verified({ sub: "a", node: 7 }), verified({ host: "7" }, "nonce", "other")),
    "identityNotDerived",
    "types count",
  );
  t.end();
});

t.test("allOf: three pieces, each asked for its own", (t) => {
  const three = grant({
    allOf: [node, { source: "shared", minBinding: "bearer", conditions: [{ claim: "owner_id", equals: "1" }] }],
  });
  const pieces = [
    verified(pod),
    verified({ host: "n1" }, "nonce", "other"),
    verified({ owner_id: "1" }, "bearer", "shared"),
  ];
  const orders = [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
  ].map((order) => order.flatMap((place) => pieces[place] ?? []));
  for (const order of orders) t.equal(outcome([three], id("dev/a"), ...order), "allowed");
  for (const left of [0, 1, 2])
    t.equal(outcome([three], id("dev/a"), ...pieces.filter((_, place) => place !== left)), "identityNotDerived");
  t.same(
    acceptFor([three], surroundings.sources, id("dev/a")),
    [
      {
        format: "jwt",
        ref: "dev",
        minBinding: "bearer",
        with: [
          { format: "jwt", ref: "other", minBinding: "nonce" },
          { format: "jwt", ref: "shared", minBinding: "bearer" },
        ],
      },
    ],
    "the challenge says all of it",
  );
  t.end();
});

t.test("empty lists allow nothing", (t) => {
  t.equal(outcome([], id("dev/a"), verified({ sub: "a" })), "identityNotDerived", "no grants");
  const none = {
    ...grant({ conditions: [{ claim: "sub", oneOf: ["a"] }] }),
    conditions: [{ claim: "sub", oneOf: [] }],
  };
  t.equal(outcome([none], id("dev/a"), verified({ sub: "a" })), "identityNotDerived", "oneOf nothing");
  t.end();
});
