/** TPMs of a maker that everybody can buy from: what a grant must ask for, so that not every one of them gets the identity. */
import t from "tap";
import { tpmFormat } from "../../src/attestation/formats/tpm.ts";
import { checkSource } from "../../src/attestation/registry.ts";
import { type SourceFacts, sourceFacts } from "../../src/attestation/sources.ts";
import { type GrantConfiguration, type GrantSurroundings, parseGrant } from "../../src/authority/grants.ts";
import { dev, surroundings as others, trustDomain } from "../support/grants.ts";

const source = (settings: object): SourceFacts => {
  const full = { ref: "machines", format: "tpm", ...settings };
  checkSource(full);
  return sourceFacts(full);
};
const withSource = (settings: object): GrantSurroundings => ({
  ...others,
  sources: new Map([...others.sources, ["machines", source(settings)]]),
});
const makers = withSource({ ekRootsFile: "makers.pem", pcrSelection: [7] });
const grant: GrantConfiguration = {
  ...dev,
  spiffeId: `spiffe://${trustDomain}/fleet`,
  source: "machines",
  minBinding: "nonce",
};

/** Registers of a TPM of one's own hold what one puts there; nothing has to have been booted for that. */
const golden = [{ claim: "pcr7", equals: "ab".repeat(32) }];

t.test("registers and the maker's name say nothing of whose machine it is", async (t) => {
  for (const conditions of [
    golden,
    [{ claim: "manufacturer", equals: "id:53544D20" }],
    [...golden, { claim: "model", oneOf: ["a", "b"] }, { claim: "resetCount", max: 10 }],
    [...golden, { claim: "ekSha256", min: 0 }],
  ])
    t.throws(() => parseGrant({ ...grant, conditions }, makers), /conditions.*ekSha256.*anybody has such a machine/);
  const path = `spiffe://${trustDomain}/fleet/{model}`;
  t.throws(() => parseGrant({ ...grant, spiffeId: path }, makers), /anybody has such a machine/);
});

t.test("an identity for each machine, or machines by their keys", async (t) => {
  for (const claim of ["ekSha256", "akSha256", "akName", "deviceName"]) {
    const spiffeId = `spiffe://${trustDomain}/machine/{${claim}}`;
    t.doesNotThrow(() => parseGrant({ ...grant, spiffeId, conditions: golden }, makers), `path by ${claim}`);
    const conditions = [...golden, { claim, oneOf: ["a1", "b2"] }];
    t.doesNotThrow(() => parseGrant({ ...grant, conditions }, makers), `condition on ${claim}`);
  }
});

t.test("where the operator enrolled every key, any of them will do", async (t) => {
  const enrolled = withSource({ enrolledKeysFile: "enrolled.json" });
  t.doesNotThrow(() => parseGrant({ ...grant, conditions: golden }, enrolled));
  t.ok(tpmFormat.machineClaims?.({ ref: "machines", format: "tpm", akRootsFile: "roots.pem" }));
});

t.test("as further evidence: somebody's good machine is not the one that the identity runs on", async (t) => {
  const further = { source: "machines", minBinding: "nonce" } as const;
  const withFurther = (more: object) => () => parseGrant({ ...dev, allOf: [{ ...further, ...more }] }, makers);
  t.throws(withFurther({ conditions: golden }), /allOf\[0\]\.conditions.*anybody has such a machine/);
  t.throws(withFurther({ sameAs: [{ claim: "model", as: "model" }] }), /anybody has such a machine/);
  t.doesNotThrow(withFurther({ conditions: golden, sameAs: [{ claim: "ekSha256", as: "machine" }] }));
  t.doesNotThrow(withFurther({ conditions: [{ claim: "deviceName", equals: "rack-7" }] }));
});
