import t from "tap";
import type { AcmeContext, IdentityPolicy } from "../../src/acme/context.ts";
import { ancestorsOf, readIdentifiers } from "../../src/acme/identifiers.ts";
import type { JsonValue } from "../../src/encoding/json.ts";
import { Problem } from "../../src/problem/problem.ts";

const unexpected = (): never => {
  throw new Error("not asked here");
};
const accept = [{ format: "jwt", ref: "dev", minBinding: "bearer" }] as const;
/** Gives what lies below /dev/ of its trust domain. */
const policy: IdentityPolicy = {
  trustDomain: "td.example",
  candidates: (id) => ({
    accept: id.startsWith("spiffe://td.example/dev/") || id.startsWith("SERIAL-") ? accept : [],
    authorities: [],
    profiles: ["workload"],
  }),
  authorityOf: unexpected,
  hasSource: unexpected,
  activate: unexpected,
  verify: unexpected,
  decide: unexpected,
  grants: unexpected,
  reread: unexpected,
};
const limits = { identifiersPerOrder: 4 } as AcmeContext["limits"];
const plain = { reuseAuthorizations: false, subdomainAuthorizations: false, challenges: [] };
const read = (value: JsonValue | undefined) => readIdentifiers(value, { limits, options: plain, policy });
const refusal = (value: JsonValue | undefined): Problem => {
  try {
    read(value);
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error(`accepted: ${JSON.stringify(value)}`);
};
const id = (type: string, value: string) => ({ type, value });

t.test(
  "a workload and a device in one order → malformed: a quarantine of either, or its grant's end, holds for one identity",
  async (t) => {
    const both = refusal([id("uri", "spiffe://td.example/dev/A"), id("permanent-identifier", "SERIAL-1")]);
    t.match(both, { code: "malformed", message: /not for both/ });
    t.same(read([id("permanent-identifier", "SERIAL-1"), id("dns", "a.example")]).length, 2);
  },
);

t.test("rule D canonical identifiers, in the client's order", async (t) => {
  const asked = [
    id("ip", "2001:db8::1"),
    id("dns", "*.Example.COM"),
    id("uri", "spiffe://td.example/dev/A"),
    id("dns", "example.com"),
  ];
  t.same(read(asked), [
    id("ip", "2001:db8::1"),
    id("dns", "*.example.com"),
    id("uri", "spiffe://td.example/dev/A"),
    id("dns", "example.com"),
  ]);
  t.same(
    read([{ ...id("dns", "a.example"), more: 1, ancestorDomain: "example" }]),
    [id("dns", "a.example")],
    "other members are dropped",
  );
});

t.test("R7.4-2 one refusal keeps its type, several of one type too, different ones become malformed", async (t) => {
  const [badName, badType, badDomain] = [id("dns", "a..b"), id("email", "a@b"), id("uri", "spiffe://other/x")];
  const cases: [JsonValue, string, string[]][] = [
    [[badType], "unsupportedIdentifier", ["unsupportedIdentifier"]],
    [[badDomain], "rejectedIdentifier", ["rejectedIdentifier"]],
    [[id("uri", "spiffe://td.example/prod/x")], "rejectedIdentifier", ["rejectedIdentifier"]],
    [[id("uri", "https://td.example/dev/x")], "rejectedIdentifier", ["rejectedIdentifier"]],
    [[id("uri", "SPIFFE://td.example/dev/x")], "malformed", ["malformed"]],
    [[badName, badName], "malformed", ["malformed", "malformed"]],
    [
      [badType, badType, id("dns", "ok.example")],
      "unsupportedIdentifier",
      ["unsupportedIdentifier", "unsupportedIdentifier"],
    ],
    [[badName, badType, badDomain], "malformed", ["malformed", "unsupportedIdentifier", "rejectedIdentifier"]],
  ];
  for (const [value, code, below] of cases) {
    const { code: top, options } = refusal(value);
    t.equal(top, code, JSON.stringify(value));
    t.same(
      options.subproblems?.map((one) => one.code),
      below,
    );
    t.ok(
      options.subproblems?.every(({ identifier }) => identifier !== undefined),
      "each names its identifier",
    );
  }
});

t.test("what a subproblem repeats of an identifier is cut", async (t) => {
  const [sub] = refusal([id("x".repeat(5_000), "y".repeat(4_000))]).options.subproblems ?? [];
  t.equal(sub?.identifier?.type.length, 100);
  t.equal(sub?.identifier?.value.length, 300);
});

t.test("R7.4-3 shape, number and doubles → malformed", async (t) => {
  const uri = (path: string) => id("uri", `spiffe://td.example/dev/${path}`);
  const five = Array.from({ length: 5 }, (_, n) => id("dns", `${n}.example`));
  for (const value of [
    undefined,
    null,
    {},
    "x",
    [],
    [1],
    [null],
    [[]],
    [{ type: "dns" }],
    [{ type: 1, value: "a" }],
    five,
    [id("dns", "a.example"), id("dns", "A.example")],
    [uri("a"), uri("b")],
    [id("dns", "a".repeat(4097))],
  ])
    t.equal(refusal(value as JsonValue).code, "malformed", JSON.stringify(value)?.slice(0, 50) ?? "absent");
});

t.test(
  "R9444-4 ancestorDomain counts where subdomain authorizations are allowed, and must be an ancestor",
  async (t) => {
    const allowed = { limits, policy, options: { ...plain, subdomainAuthorizations: true } };
    const asked = (value: string, ancestorDomain: JsonValue) =>
      readIdentifiers([{ ...id("dns", value), ancestorDomain }], allowed);
    t.same(asked("a.b.Example.com", "Example.com"), [
      { ...id("dns", "a.b.example.com"), ancestorDomain: "example.com" },
    ]);
    for (const [value, ancestor] of [
      ["a.example.com", "a.example.com"],
      ["a.example.com", "xample.com"],
      ["a.example.com", ""],
      ["a.example.com", 7],
      ["a.example.com", "other.com"],
      ["*.a.example.com", "example.com"],
    ] as const)
      t.throws(() => asked(value, ancestor), { code: "malformed" }, `${value} below ${ancestor}`);
  },
);

t.test("the names whose authorization would do for a name: itself and its ancestors, nearest first", async (t) => {
  t.same(ancestorsOf({ type: "dns", value: "a.b.c" }), ["a.b.c", "b.c", "c"]);
  t.same(ancestorsOf({ type: "dns", value: "*.b.c" }), []);
  t.same(ancestorsOf({ type: "uri", value: "spiffe://td.example/dev/a.b" }), []);
  t.equal(ancestorsOf({ type: "dns", value: "a.".repeat(60) + "z" }).length, 20, "not without end");
});
