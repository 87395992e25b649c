import * as fc from "fast-check";
import t from "tap";
import { couldAllow } from "../../src/authority/grantDecision.ts";
import { indexGrants } from "../../src/authority/grantIndex.ts";
import { grant, id, trustDomain } from "../support/grants.ts";

t.test("property: the index finds exactly the grants that could allow an identity, in their order", (t) => {
  const segment = fc.constantFrom("a", "b", "ns", "{x}", "{y}", "p-{x}", "{x}-s", "{x|lower}", "{x|sha256hex}", "A");
  const template = fc.array(segment, { minLength: 1, maxLength: 4 });
  const asked = fc.array(fc.constantFrom("a", "b", "ns", "A", "p-", "p-q", "q-s", "é", "", "0".repeat(64)), {
    minLength: 0,
    maxLength: 5,
  });
  fc.assert(
    fc.property(fc.array(template, { maxLength: 12 }), asked, (templates, path) => {
      const grants = templates.map((one, place) =>
        grant({ name: `g${place}`, spiffeId: id(one.join("/")), conditions: [{ claim: "x", equals: 1 }] }),
      );
      const spiffeId = id(path.join("/"));
      const able = indexGrants(grants).ableTo(spiffeId);
      const expected = grants.filter((one) => couldAllow(one, spiffeId));
      return able.length === expected.length && able.every((one, place) => one === expected[place]);
    }),
    { numRuns: 1000 },
  );
  t.pass();
  t.end();
});

t.test("what is no SPIFFE ID of the trust domain finds none", (t) => {
  const index = indexGrants([grant()]);
  for (const odd of [
    "",
    "x",
    "spiffe://other/dev/a",
    `spiffe://${trustDomain}`,
    id("dev/a/"),
    id("dev/%61"),
    id("dev/a?"),
  ])
    t.same(index.ableTo(odd), [], odd);
  t.equal(index.ableTo(id("dev/a")).length, 1);
  t.equal(index.byName.get("dev"), index.grants[0]);
  t.end();
});

t.test("with 10,000 grants a question costs what its own grants cost", (t) => {
  const shapes = [
    (n: number) => `ns/team-${n}/sa/{sub}`,
    (n: number) => `ci/{sub}/repo-${n}`,
    (n: number) => `agent-${n}-{sub}/task`,
    (n: number) => `r${n}/x/y/z`,
  ];
  const grants = Array.from({ length: 10_000 }, (_, n) =>
    grant({
      name: `g${n}`,
      spiffeId: id(shapes[n % shapes.length]?.(n) ?? ""),
      conditions: [{ claim: "env", equals: "prod" }],
    }),
  );
  const before = performance.now();
  const index = indexGrants(grants);
  const built = performance.now() - before;
  const asked = ["ns/team-4000/sa/x", "ci/x/repo-4001", "agent-4002-x/task", "r4003/x/y/z", "nobody/x"].map(id);
  const rounds = 200;
  const micros = asked.map((spiffeId) => {
    const start = performance.now();
    for (let round = 0; round < rounds; round++) index.ableTo(spiffeId);
    return ((performance.now() - start) / rounds) * 1000;
  });
  const start = performance.now();
  for (const one of grants) couldAllow(one, id("ns/team-4000/sa/x"));
  const linear = (performance.now() - start) * 1000;
  t.comment(
    `10,000 grants: index built in ${built.toFixed(1)} ms; a question ${micros.map((one) => one.toFixed(1)).join(", ")} µs, without an index ${linear.toFixed(0)} µs`,
  );
  t.same(
    asked.map((spiffeId) => index.ableTo(spiffeId).map(({ name }) => name)),
    [["g4000"], ["g4001"], ["g4002"], ["g4003"], []],
  );
  t.ok(Math.max(...micros) < linear, "cheaper than asking each");
  t.end();
});
