import t from "tap";
import { issuingKey } from "../../src/authority/issuingKey.ts";
import { testIssuingKeys } from "../../src/authority/testIssuingKeys.ts";
import { KeyUnavailable } from "../../src/keys/signer.ts";
import { memoryHierarchy, memoryKeys } from "../support/issuers.ts";

const { issuers, issuing, signer } = await memoryHierarchy(new Date());

t.test("every line that profiles name has an issuer whose key works, or the server is not ready", async (t) => {
  const outcomes: string[] = [];
  await t.resolves(testIssuingKeys(issuers, ["default"], (outcome) => outcomes.push(outcome)));
  t.same(outcomes, ["passed"]);
  await t.rejects(testIssuingKeys(issuers, ["default", "servers"]), KeyUnavailable);
});

t.test("one key that fails keeps no other from being tried", async (t) => {
  const stranger = await memoryKeys().generate("stranger", "ec-p256");
  const broken = { ...issuing, key: issuingKey({ ...signer, sign: (message) => stranger.sign(message) }) };
  const both = { active: () => issuing, all: () => [broken, issuing] };
  const outcomes: string[] = [];
  await t.rejects(
    testIssuingKeys(both, ["default"], (outcome) => outcomes.push(outcome)),
    { name: "SelfTestFailed" },
  );
  t.same(outcomes, ["failed", "passed"]);
});
