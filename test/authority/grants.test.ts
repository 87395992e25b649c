import t from "tap";
import { Value } from "typebox/value";
import { sourceFacts } from "../../src/attestation/sources.ts";
import { grantSchema, parseGrants, type GrantConfiguration } from "../../src/authority/grants.ts";
import { dev, grant, id, outcome, surroundings, verified } from "../support/grants.ts";

t.test("version", (t) => {
  const { version } = grant();
  t.match(version, /^[0-9a-f]{16}$/);
  t.equal(version, "95455b789e936ec6", "stable from release to release");
  const reordered = Object.fromEntries(Object.entries(dev).toReversed());
  t.equal(
    grant({ ...reordered, conditions: [], recordClaims: [] }).version,
    version,
    "order and spelt-out defaults do not count",
  );
  const changes: Partial<GrantConfiguration>[] = [
    { name: "dev2" },
    { spiffeId: id("dev/{subject}") },
    { source: "other" },
    { minBinding: "nonce" },
    { conditions: [{ claim: "a", equals: 1 }] },
    { conditions: [{ claim: "a", equals: "1" }] },
    { maxLifetimeSeconds: 60 },
    { owner: "team" },
    { recordClaims: ["sub"] },
  ];
  const versions = new Set(changes.map((change) => grant(change).version));
  t.equal(versions.size, changes.length, "every change makes another version");
  t.notOk(versions.has(version));
  t.end();
});

t.test("the schema", (t) => {
  t.ok(Value.Check(grantSchema, { ...dev, conditions: [{ claim: "a", oneOf: ["b", 1, true] }], owner: "team" }));
  const bad = {
    "an unknown key": { ...dev, regex: ".*" },
    "an unknown key in a condition": { ...dev, conditions: [{ claim: "a", matches: ".*" }] },
    "an unknown level": { ...dev, minBinding: "none" },
    "no level": { ...dev, minBinding: undefined },
    "an odd name": { ...dev, name: "../dev" },
    "an empty list": { ...dev, conditions: [{ claim: "a", oneOf: [] }] },
    "an infinite bound": { ...dev, conditions: [{ claim: "a", min: Infinity }] },
    "a text for a lifetime": { ...dev, maxLifetimeSeconds: "60" },
  };
  for (const [name, configuration] of Object.entries(bad)) t.notOk(Value.Check(grantSchema, configuration), name);
  t.end();
});

t.test("configurations that cannot be", (t) => {
  const refused = (change: Partial<GrantConfiguration>, message: RegExp): void => {
    t.throws(() => grant(change), { message }, JSON.stringify(change));
  };
  const path = (text: string): Partial<GrantConfiguration> => ({ spiffeId: id(text) });
  refused({ spiffeId: "https://mayfly.localhost/x" }, /^grants\.dev\.spiffeId: "https:.*begins with spiffe:\/\//);
  refused(
    { spiffeId: "spiffe://other.example/{sub}" },
    /^grants\.dev\.spiffeId: .*expected the trust domain mayfly\.localhost/,
  );
  refused({ spiffeId: "spiffe://{sub}/x" }, /^grants\.dev\.spiffeId/);
  refused({ spiffeId: "spiffe://mayfly.localhost" }, /has a path/);
  refused(path("{a}{b}"), /joins two placeholders/);
  refused(path("{a}-{b}"), /joins two placeholders/);
  refused(path("{a/x"), /not a path segment/);
  refused(path("a}/x"), /not a path segment/);
  refused(path("{{a}}"), /joins two|not a path segment/);
  refused(path("{}"), /does not name a claim/);
  refused(path("{/a~2}"), /does not name a claim/);
  refused(path("{a|upper}"), /unknown transform: expected lower, sha256hex, escaped, digest/);
  refused(path("{a|}"), /unknown transform/);
  refused(path("{a|lower|lower}"), /unknown transform/);
  for (const odd of ["a//{b}", "{b}/", "../{b}", "%61/{b}", "é/{b}", "a b/{b}", "a*/{b}", ""])
    refused(path(odd), /^grants\.dev\.spiffeId/);

  refused({ source: "nowhere" }, /^grants\.dev\.source: "nowhere": expected the ref of a configured source/);
  refused({ source: "east" }, /^grants\.dev\.spiffeId: "sub": expected a claim of format k8s: namespace, /);
  const k8s = { source: "east", spiffeId: id("{namespace}") };
  refused(
    { ...k8s, conditions: [{ claim: "ns", equals: "x" }] },
    /^grants\.dev\.conditions\[0\]\.claim: "ns": expected a claim of format k8s/,
  );
  refused({ ...k8s, recordClaims: ["podUid", "pod"] }, /^grants\.dev\.recordClaims\[1\]: "pod"/);
  refused({ recordClaims: ["a|b"] }, /^grants\.dev\.recordClaims\[0\]/);

  refused({ profile: "nothing" }, /^grants\.dev\.profile: "nothing": expected the name of a profile/);
  refused({ profile: "server" }, /^grants\.dev\.profile: "server": expected a profile with uri/);
  refused({ maxLifetimeSeconds: 30 }, /^grants\.dev\.maxLifetimeSeconds: 30: expected 60 to 3600/);
  refused({ maxLifetimeSeconds: 3601 }, /^grants\.dev\.maxLifetimeSeconds: 3601/);

  const conditions = [{}, { equals: 1, min: 1 }, { equals: 1, oneOf: [1] }, { prefix: "a", max: 1 }];
  for (const tests of conditions)
    refused({ conditions: [{ claim: "a", ...tests }] }, /^grants\.dev\.conditions\[0\]: .*expected exactly one/);
  for (const prefix of ["a/", "/a", "a//b", "a/../b", "."])
    refused({ conditions: [{ claim: "a", prefix }] }, /expected a prefix of segments/);
  refused({ conditions: [{ claim: "a", min: 2, max: 1 }] }, /min to be at most max/);
  t.throws(() => parseGrants([dev, dev], surroundings), { message: /^grants\.dev\.name: .*no other grant/ });
  t.equal(parseGrants([dev, { ...dev, name: "dev2" }], surroundings).length, 2);
  t.end();
});

t.test("grants that would take anything", (t) => {
  const fixed = { spiffeId: id("ci/builder") };
  t.throws(() => grant(fixed), { message: /^grants\.dev\.conditions: \[\]: expected a condition/ });
  const conditioned = grant({ ...fixed, conditions: [{ claim: "sub", equals: "builder" }] });
  t.equal(outcome([conditioned], id("ci/builder"), verified({ sub: "builder" })), "allowed");
  t.equal(outcome([conditioned], id("ci/builder"), verified({ sub: "other" })), "identityNotDerived");

  const shared = { source: "shared" };
  const message = /^grants\.dev\.conditions: .*tenant of this shared issuer: one of owner_id, sub/;
  t.throws(() => grant(shared), { message }, "a placeholder admits every tenant");
  t.throws(() => grant({ ...shared, conditions: [{ claim: "ref", equals: "main" }] }), { message });
  t.throws(() => grant({ ...shared, conditions: [{ claim: "owner_id", min: 0 }] }), { message });
  t.ok(grant({ ...shared, conditions: [{ claim: "owner_id", equals: "123" }] }));

  const chips = sourceFacts({ ref: "chips", format: "sev-snp" });
  t.throws(
    () =>
      parseGrants([{ ...dev, ...fixed, source: "chips", minBinding: "nonce" }], {
        ...surroundings,
        sources: new Map([["chips", chips]]),
      }),
    { message: /^grants\.dev\.conditions: .*of what tells yours from everybody's: one of measurement, / },
    "hardware of everybody's has no issuer to speak of",
  );
  t.end();
});
