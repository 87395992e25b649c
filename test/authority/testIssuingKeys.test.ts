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
  await t.rejects(testIssuingKeys(issuers, ["default", "servers"]), {
    name: "LinesNotIssuing",
    message: "no issuer of the line servers is active here",
    cause: { name: "KeyUnavailable" },
  });
});

t.test("one key that fails keeps no other from being tried", async (t) => {
  const stranger = await memoryKeys().generate("stranger", "ec-p256");
  const broken = { ...issuing, key: issuingKey({ ...signer, sign: (message) => stranger.sign(message) }) };
  const both = { active: () => issuing, all: () => [broken, issuing] };
  const outcomes: string[] = [];
  await t.rejects(
    testIssuingKeys(both, ["default"], (outcome) => outcomes.push(outcome)),
    {
      name: "LinesNotIssuing",
      message: "the issuer of the line default cannot sign",
      cause: { name: "SelfTestFailed" },
    },
  );
  t.same(outcomes, ["failed", "passed"]);
  const none = (): never => {
    throw new KeyUnavailable("away");
  };
  await t.rejects(
    testIssuingKeys({ active: none, all: () => [broken] }, ["servers", "devices"]),
    {
      message:
        "the issuer of the line default cannot sign; no issuer of the line servers is active here; no issuer of the line devices is active here",
    },
    "and every line is named",
  );
});
