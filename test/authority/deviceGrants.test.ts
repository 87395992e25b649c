/** Grants of devices: how they are written, which device they give, and that they and grants of workloads never meet. */
import t from "tap";
import type { SourceFacts } from "../../src/attestation/sources.ts";
import { acceptFor, couldAllow, decideGrant } from "../../src/authority/grantDecision.ts";
import { indexGrants } from "../../src/authority/grantIndex.ts";
import { parseGrant, type GrantConfiguration, type GrantSurroundings } from "../../src/authority/grants.ts";
import { sourceFactsOf } from "../support/issuers.ts";
import { dev, surroundings as workloads, trustDomain, verified } from "../support/grants.ts";

const facts = { format: "packed", claimNames: ["serial", "model"], ofDevices: true, deviceClaims: ["serial"] };
const surroundings: GrantSurroundings = {
  ...workloads,
  sources: new Map<string, SourceFacts>([...workloads.sources, ["keys", sourceFactsOf({ ...facts, ref: "keys" })]]),
  profiles: new Map([
    ...workloads.profiles,
    ["device", { identifiers: ["permanent-identifier"], lifetimeMinSeconds: 60, lifetimeMaxSeconds: 3600 }],
  ]),
};
const keys: GrantConfiguration = {
  name: "keys",
  permanentIdentifier: "{serial}",
  anyDevice: true,
  source: "keys",
  minBinding: "nonce",
  profile: "device",
};
const grant = (change: Partial<GrantConfiguration> = {}) => parseGrant({ ...keys, ...change }, surroundings);
const shown = (serial: unknown) => verified({ serial: serial as string, model: "m" }, "nonce", "keys");
const outcome = (one: ReturnType<typeof grant>, identifier: string, serial: unknown): string => {
  const decision = decideGrant([one], identifier, [shown(serial)]);
  return "refused" in decision ? decision.refused : "allowed";
};

t.test("a device's name is the whole of its claim, to the octet", async (t) => {
  t.equal(outcome(grant(), "4242", "4242"), "allowed");
  const withAssigner = grant({ permanentIdentifier: "{serial}/1.2.3" });
  t.equal(outcome(withAssigner, "4242/1.2.3", "4242"), "allowed");
  t.equal(outcome(withAssigner, "4242", "4242"), "identityNotDerived", "without its assigner");
  t.equal(outcome(grant(), "4242/1.2.3", "4242"), "identityNotDerived", "with an assigner");
  t.equal(outcome(grant(), "4242/1.2.3", "4242/1.2.3"), "identityNotDerived", "a claim that brings its own");
  t.equal(outcome(grant(), "a", "A"), "identityNotDerived", "another case");
  t.equal(outcome(grant(), "é", "e\u0301"), "identityNotDerived", "another form of the same letter");
  for (const serial of ["", "4242/", 4242, true, null, ["4242"], undefined, "x".repeat(600), "\ud800"])
    t.equal(outcome(grant(), "4242", serial), "identityNotDerived", JSON.stringify(serial)?.slice(0, 20));
  const one = grant({ permanentIdentifier: "4242/1.2.3", conditions: [{ claim: "model", equals: "m" }] });
  t.equal(outcome(one, "4242/1.2.3", "77"), "allowed", "a fixed device, by what its grant asks for");
  t.equal(outcome(one, "77/1.2.3", "77"), "identityNotDerived");
});

t.test("devices and workloads: a grant of one never gives the other", async (t) => {
  const grants = [parseGrant(dev, surroundings), grant()];
  const index = indexGrants(grants);
  const asked = ["4242", `spiffe://${trustDomain}/dev/a`, "4242/1.2.3", "spiffe:", "spiffe://", "", "/", "a/b/c"];
  for (const identifier of asked) {
    const able = index.ableTo(identifier).map(({ name }) => name);
    t.same(
      able,
      grants.filter((one) => couldAllow(one, identifier)).map(({ name }) => name),
      identifier,
    );
    t.ok(able.length <= 1, identifier);
  }
  t.same(acceptFor(grants, surroundings.sources, "4242"), [{ format: "packed", ref: "keys", minBinding: "nonce" }]);
  t.same(
    acceptFor(grants, surroundings.sources, `spiffe://${trustDomain}/dev/a`).map(({ ref }) => ref),
    ["dev"],
  );
  const spiffe = verified({ sub: "4242" }, "nonce", "keys");
  t.match(decideGrant(grants, `spiffe://${trustDomain}/dev/4242`, [spiffe]), { refused: "identityNotDerived" });
});

t.test("fixed devices are found by their names, however many there are", async (t) => {
  const conditions = [{ claim: "model", equals: "m" }];
  const many = Array.from({ length: 200 }, (_, i) =>
    grant({ name: `d-${i}`, permanentIdentifier: `D${i}${i % 2 === 0 ? "/1.2.3" : ""}`, conditions }),
  );
  const index = indexGrants([...many, grant()]);
  t.same(
    index.ableTo("D7").map(({ name }) => name),
    ["d-7", "keys"],
  );
  t.same(
    index.ableTo("D8/1.2.3").map(({ name }) => name),
    ["d-8"],
  );
  t.same(
    index.ableTo("D8").map(({ name }) => name),
    ["keys"],
  );
});

t.test("a grant that would say something else is refused", async (t) => {
  const { permanentIdentifier: _, anyDevice: __, ...neither } = keys;
  const table: readonly [string, GrantConfiguration, RegExp][] = [
    ["neither", neither, /exactly one of spiffeId and permanentIdentifier/],
    ["both", { ...keys, spiffeId: dev.spiffeId ?? "" }, /exactly one of spiffeId and permanentIdentifier/],
    ["every device, unsaid", { ...keys, anyDevice: false }, /which devices are meant, by one of serial; or anyDevice/],
    [
      "a condition on something else",
      { ...keys, anyDevice: false, conditions: [{ claim: "model", equals: "m" }] },
      /which devices are meant/,
    ],
    [
      "a range of devices",
      { ...keys, anyDevice: false, conditions: [{ claim: "serial", min: 1 }] },
      /which devices are meant/,
    ],
    ["a fixed device for anybody", { ...keys, permanentIdentifier: "4242" }, /expected a condition, or a placeholder/],
    ["a claim that there is not", { ...keys, permanentIdentifier: "{imei}" }, /expected a claim of format packed/],
    ["two claims", { ...keys, permanentIdentifier: "{serial}{model}" }, /is one \{claim\}/],
    ["a beginning", { ...keys, permanentIdentifier: "x-{serial}" }, /is one \{claim\}/],
    ["a transform", { ...keys, permanentIdentifier: "{serial|lower}" }, /does not name a claim/],
    ["an assigner from the evidence", { ...keys, permanentIdentifier: "{serial}/{model}" }, /is one \{claim\}/],
    ["an assigner that is none", { ...keys, permanentIdentifier: "{serial}/x" }, /OID of an assigner/],
    ["a source of workloads", { ...keys, source: "dev" }, /vouches for devices, which permanentIdentifier asks for/],
    ["a workload by a source of devices", { ...dev, source: "keys" }, /this one vouches for devices/],
    ["a workload of any device", { ...dev, anyDevice: true }, /with permanentIdentifier only/],
    [
      "a device beside a workload",
      { ...dev, allOf: [{ source: "keys", minBinding: "nonce", conditions: [{ claim: "serial", equals: "1" }] }] },
      /vouches for workloads/,
    ],
    [
      "further evidence",
      { ...keys, allOf: [{ source: "dev", minBinding: "nonce", conditions: [{ claim: "a", equals: "1" }] }] },
      /expected none with permanentIdentifier/,
    ],
    ["a profile without devices", { ...keys, profile: "workload" }, /a profile with permanent-identifier identifiers/],
  ];
  for (const [what, configuration, message] of table)
    t.throws(() => parseGrant(configuration, surroundings), message, what);
  t.doesNotThrow(() => grant({ anyDevice: false, conditions: [{ claim: "serial", oneOf: ["1", "2"] }] }));
});
