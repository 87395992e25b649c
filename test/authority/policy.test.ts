import t from "tap";
import { EvidenceRefused, type VerifiedEvidence } from "../../src/attestation/evidence.ts";
import { createVerifier } from "../../src/attestation/verify.ts";
import { parseGrants, type GrantConfiguration } from "../../src/authority/grants.ts";
import { createIdentityPolicy } from "../../src/authority/policy.ts";
import { sourceFactsOf, trustDomain, workloadProfile } from "../support/issuers.ts";

const dev: GrantConfiguration = {
  name: "dev",
  spiffeId: `spiffe://${trustDomain}/dev/{sub}`,
  source: "dev",
  minBinding: "bearer",
  profile: "workload",
  recordClaims: ["team"],
};
const source = sourceFactsOf({});
const workload = workloadProfile();
const grants = parseGrants(
  [dev, { ...dev, name: "slow", profile: "slow" }, { ...dev, name: "bound", minBinding: "nonce", profile: "bound" }],
  {
    trustDomain,
    sources: new Map([["dev", source]]),
    profiles: new Map(["workload", "slow", "bound"].map((name) => [name, workload])),
  },
);
const refused: { spiffeId: string; nearest: object }[] = [];
const verifier = { ...createVerifier([]), sources: new Map([["dev", source]]) };
const policy = createIdentityPolicy({
  trustDomain,
  grants: () => grants,
  verifier: verifier as unknown as ReturnType<typeof createVerifier>,
  onRefused: (spiffeId, nearest) => refused.push({ spiffeId, nearest }),
});

const evidence = (claims: Record<string, string>): VerifiedEvidence =>
  ({ ref: "dev", format: "jwt", claims, bindingLevel: "bearer" }) as unknown as VerifiedEvidence;
const one = `spiffe://${trustDomain}/dev/one`;

t.test("candidates: what evidence would do for an identity, and under which profiles", async (t) => {
  t.same(policy.candidates(one), {
    accept: [{ format: "jwt", ref: "dev", minBinding: "bearer" }],
    authorities: [],
    profiles: ["workload", "slow", "bound"],
  });
  t.same(policy.candidates(`spiffe://${trustDomain}/other`), { accept: [], authorities: [], profiles: [] });
});

t.test("candidates: authorities are the sources whose tokens would do by themselves", async (t) => {
  const authority = { ...source, format: "atc", tokenAuthorityUrl: "https://authority.example/" };
  const sources = new Map(["dev", "first", "second"].map((ref) => [ref, ref === "dev" ? source : authority]));
  const grant = { ...dev, spiffeId: `spiffe://${trustDomain}/{sub}` };
  const able = parseGrants(
    [
      grant,
      { ...grant, name: "key", source: "first", minBinding: "key" },
      { ...grant, name: "lax", source: "second", profile: "slow" },
      { ...grant, name: "nonce", source: "second", minBinding: "nonce" },
    ],
    { trustDomain, sources, profiles: new Map(["workload", "slow"].map((name) => [name, workload])) },
  );
  const asked = createIdentityPolicy({
    trustDomain,
    grants: () => able,
    verifier: { ...createVerifier([]), sources } as unknown as ReturnType<typeof createVerifier>,
    onRefused: () => undefined,
  });
  const authorities = (profile?: string) =>
    asked.candidates(`spiffe://${trustDomain}/x`, profile === undefined ? {} : { profile }).authorities;
  t.same(authorities("workload"), [{ ref: "first", url: authority.tokenAuthorityUrl }], "not where nonce is asked for");
  t.same(authorities("slow"), [{ ref: "second", url: authority.tokenAuthorityUrl }]);
  t.same(authorities("other"), []);
});

t.test("decide: the first grant of the order's profile that fits, with the claims it records", async (t) => {
  const decision = policy.decide(one, { profile: "slow", delegatedBy: undefined }, [
    evidence({ sub: "one", team: "red", secret: "x" }),
  ]);
  t.match(decision, { grant: "slow", grantVersion: grants[1]?.version, recordedClaims: { team: "red" } });
  t.same(Object.keys(decision.recordedClaims), ["team"]);
});

t.test("decide: a refusal tells the client little and the operator which grant came nearest", async (t) => {
  refused.length = 0;
  t.throws(
    () => policy.decide(one, { profile: "workload", delegatedBy: undefined }, [evidence({ sub: "two" })]),
    EvidenceRefused,
  );
  t.throws(() => policy.decide(one, { profile: "bound", delegatedBy: undefined }, [evidence({ sub: "one" })]), {
    name: "EvidenceRefused",
    code: "bindingMissing",
  });
  t.throws(() => policy.decide(one, { profile: "unknown", delegatedBy: undefined }, [evidence({ sub: "one" })]), {
    name: "EvidenceRefused",
    code: "identityNotDerived",
  });
  t.match(refused, [
    { spiffeId: one, nearest: { grant: "dev", missed: "the claims derive another SPIFFE ID" } },
    { spiffeId: one, nearest: { grant: "bound", missed: /^minBinding nonce/ } },
  ]);
});

t.test("grants: what stands today, by name, for the second question at finalize", async (t) => {
  t.match(policy.grants().get("slow"), { name: "slow", version: grants[1]?.version, profile: "slow" });
  t.equal(policy.grants().size, 3);
});
