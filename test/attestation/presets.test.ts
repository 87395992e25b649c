import t from "tap";
import { Value } from "typebox/value";
import { staticKeys } from "../../src/attestation/jwks.ts";
import { jwtFormat, verifyJwt } from "../../src/attestation/formats/jwt.ts";
import { rulesOf, withPreset, type JwtSettings } from "../../src/attestation/presetRules.ts";
import { presets } from "../../src/attestation/presets.ts";
import { checkSource, sourceSchemaOf, formatNamed } from "../../src/attestation/registry.ts";
import { sourceFacts } from "../../src/attestation/sources.ts";
import { configureTokenSource } from "../../src/attestation/tokenSource.ts";
import { presetTokens } from "./presetTokens.ts";
import { boundAudience, compact, context, item, nowSeconds, refusal, testKey, type TestKey } from "./testIssuer.ts";

const key = testKey("key-1", "RS256");

function settingsOf(preset: string, more: Partial<JwtSettings> = {}): JwtSettings {
  return { ref: "test", format: "jwt", preset, ...presetTokens[preset]?.settings, ...more };
}

const check = (settings: JwtSettings): void => checkSource({ ...settings, format: "jwt" });

/** Verifies a token of the platform, with some of its claims changed; undefined removes one. */
function verify(preset: string, change: Record<string, unknown> = {}, signer: TestKey = key, header: object = {}) {
  const settings = settingsOf(preset);
  const source = configureTokenSource(withPreset(settings), staticKeys({ keys: [signer.jwk] }));
  const claims = { ...presetTokens[preset]?.claims, ...change };
  return verifyJwt(item(compact(signer, claims, header)), source, context, rulesOf(settings));
}

t.test("every preset has a token here, and its settings pass schema and check", async (t) => {
  t.strictSame(
    Object.keys(presetTokens),
    presets.map(({ name }) => name),
  );
  for (const { name, example } of presets) {
    const settings = { ref: "test", format: "jwt", preset: name, ...example };
    t.ok(Value.Check(sourceSchemaOf(formatNamed("jwt")), settings), name);
    t.doesNotThrow(() => checkSource(settings), name);
  }
  t.strictSame(jwtFormat.levels, ["nonce", "bearer"]);
});

for (const [preset, { claims, instance, level }] of Object.entries(presetTokens)) {
  t.test(`${preset}: a token as documented`, async (t) => {
    const evidence = await verify(preset);
    t.equal(evidence.bindingLevel, level);
    t.equal(evidence.instance, instance);
    t.strictSame(evidence.claims, claims);
    t.match(await refusal(verify(preset, { iss: `${String(claims["iss"])}x` })), /^evidenceInvalid: .*issuer/);
    t.match(await refusal(verify(preset, { aud: "https://other.example" })), /^evidenceInvalid: .*audience/);
    const { maxAgeSeconds, maxLifetimeSeconds } = withPreset(settingsOf(preset));
    if (maxAgeSeconds === undefined || maxLifetimeSeconds === undefined) return t.equal(preset, "generic");
    const old = { iat: nowSeconds - maxAgeSeconds - 60, nbf: undefined, exp: nowSeconds + 60 };
    t.match(await refusal(verify(preset, old)), /^evidence(Expired: .*too long ago|Invalid: .*lifetime)/);
    const long = { iat: nowSeconds, nbf: nowSeconds, exp: nowSeconds + maxLifetimeSeconds + 1 };
    t.match(await refusal(verify(preset, long)), /^evidenceInvalid: .*lifetime/);
    t.match(await refusal(verify(preset, {}, testKey("key-1"))), /^evidenceInvalid: .*algorithm/, "not its algorithm");
  });

  t.test(`${preset}: what names the instance must be there, and be usable`, async (t) => {
    const { instance: named } = rulesOf(settingsOf(preset));
    if (named === undefined) return t.equal(instance, undefined);
    for (const claim of named.claims) {
      const [, top = claim] = /^\/(.+?)(?:\/|$)/.exec(claim) ?? [];
      const name = top.replaceAll("~1", "/");
      const without = verify(preset, { [name]: undefined });
      if (named.mayLack) t.equal((await without).instance, undefined, `without ${claim}`);
      else t.match(await refusal(without), /^evidenceInvalid: .*instance/, `without ${claim}`);
      if (name !== claim) continue;
      for (const value of ["", "a b", "x\u0000", "x".repeat(257), null, 1.5, [], {}, "é"])
        t.match(
          await refusal(verify(preset, { [name]: value })),
          /^evidenceInvalid: .*instance/,
          JSON.stringify(value),
        );
    }
  });
}

t.test("ES384 for AWS, and typ where the platform sets one", async (t) => {
  t.ok(await verify("aws-sts", {}, testKey("k", "ES384")));
  t.match(await refusal(verify("github-actions", {}, key, { typ: undefined })), /^evidenceInvalid: .*typ/);
  t.match(await refusal(verify("gcp", {}, key, { typ: "at+jwt" })), /^evidenceInvalid: .*typ/);
});

t.test("Confidential Space: the image must be the hardened one, not debugged", async (t) => {
  const broken = [
    { dbgstat: "enabled" },
    { dbgstat: undefined },
    { dbgstat: ["disabled-since-boot"] },
    { swname: "GCE" },
    { secboot: false },
    { secboot: "true" },
  ];
  for (const change of broken)
    t.match(await refusal(verify("gcp-confidential-space", change)), /^measurementMismatch/, JSON.stringify(change));
});

t.test("Confidential Space: eat_nonce as the channel of B", async (t) => {
  const level = async (eat_nonce: unknown, aud: unknown = context.audience) =>
    (await verify("gcp-confidential-space", { eat_nonce, aud })).bindingLevel;
  const why = (eat_nonce: unknown) => refusal(verify("gcp-confidential-space", { eat_nonce }));
  const others = ["n".repeat(8), "n".repeat(88), "other-nonce", "other-nonce", "other-nonce"];
  t.equal(await level(context.binding), "nonce", "a string");
  t.equal(await level([context.binding]), "nonce", "an array of one");
  t.equal(await level([...others, context.binding]), "nonce", "the last of six");
  t.equal(await level(undefined), "bearer", "without one, the audience alone");
  t.equal(await level(undefined, boundAudience), "nonce", "B in the audience");
  for (const wrong of ["C".repeat(43), ["C".repeat(43)], others, `${context.binding}A`])
    t.match(await why(wrong), /^bindingMismatch/, JSON.stringify(wrong));
  const odd = [
    "short",
    "n".repeat(89),
    [],
    [...others, "other-nonce", context.binding],
    [[context.binding]],
    7,
    null,
    {},
  ];
  for (const value of odd) t.match(await why(value), /^evidenceMalformed/, JSON.stringify(value));
});

t.test("AWS: a request tag as the channel of B", async (t) => {
  const sts = presetTokens["aws-sts"]?.claims["https://sts.amazonaws.com/"] as Record<string, unknown>;
  const tagged = (request_tags: unknown) =>
    verify("aws-sts", { aud: context.audience, "https://sts.amazonaws.com/": { ...sts, request_tags } });
  t.equal((await tagged({ "mayfly-binding": context.binding, team: "a" })).bindingLevel, "nonce");
  t.equal((await tagged({ team: "a" })).bindingLevel, "bearer");
  t.equal((await tagged(undefined)).bindingLevel, "bearer");
  t.match(await refusal(tagged({ "mayfly-binding": "C".repeat(43) })), /^bindingMismatch/);
});

t.test("Azure: tid is the configured tenant", async (t) => {
  for (const tid of ["11111111-86f1-41af-91ab-2d7cd011db47", undefined, null])
    t.match(await refusal(verify("azure-managed-identity", { tid })), /^evidenceInvalid: .*tid/);
  const { tenantId = "" } = settingsOf("azure-managed-identity");
  t.match(withPreset(settingsOf("azure-managed-identity")), {
    issuer: `https://sts.windows.net/${tenantId}/`,
    jwksUrl: `https://login.microsoftonline.com/${tenantId}/discovery/v2.0/keys`,
  });
  const second = `https://login.microsoftonline.com/${tenantId}/v2.0`;
  t.doesNotThrow(() => check(settingsOf("azure-managed-identity", { issuer: second })));
});

t.test("settings that do not go with a preset", async (t) => {
  const refused = (settings: JwtSettings, message: RegExp) =>
    t.throws(() => check(settings), { message }, JSON.stringify(settings));
  refused({ ref: "test", format: "jwt", preset: "aws-sts" }, /^sources\.test\.issuer: nothing: expected the exact iss/);
  refused({ ref: "test", format: "jwt" }, /^sources\.test\.issuer: nothing: .*or a preset$/);
  refused({ ref: "test", format: "jwt", preset: "generic" }, /issuer: nothing/);
  refused(
    { ref: "test", format: "jwt", preset: "generic", issuer: "https://a.example" },
    /neither jwksFile nor jwksUrl/,
  );
  refused({ ref: "test", format: "jwt", preset: "azure-managed-identity" }, /tenantId: nothing: expected the id/);
  refused(settingsOf("gitlab", { tenantId: "72f988bf-86f1-41af-91ab-2d7cd011db47" }), /tenantId: .*expected none/);
  const foreign: readonly (readonly [string, string])[] = [
    ["gcp", "https://accounts.google.com.attacker.example"],
    ["buildkite", "https://agent.buildkite.com/"],
    ["aws-sts", "https://a.tokens.sts.global.api.aws.attacker.example"],
    ["aws-sts", "https://a.b.tokens.sts.global.api.aws"],
    ["gcp-confidential-space", "https://accounts.google.com"],
    ["azure-managed-identity", "https://sts.windows.net/11111111-86f1-41af-91ab-2d7cd011db47/"],
    ["gitlab", "http://gitlab.example"],
    ["gitlab", "https://user:hunter2@gitlab.example"],
    ["gitlab", "https://gitlab.example/"],
  ];
  for (const [preset, issuer] of foreign)
    refused(settingsOf(preset, { issuer }), /^(?!.*hunter2)sources\.test\.issuer: .*expected/);
});

t.test("an installation of one's own, by its issuer", async (t) => {
  const own = settingsOf("gitlab", { issuer: "https://gitlab.example:8443/git" });
  t.doesNotThrow(() => check(own));
  t.equal(withPreset(own).jwksUrl, "https://gitlab.example:8443/git/oauth/discovery/keys");
  const enterprise = settingsOf("github-actions", { issuer: "https://github.example/_services/token" });
  t.equal(withPreset(enterprise).jwksUrl, "https://github.example/_services/token/.well-known/jwks");
  const pinned = withPreset(settingsOf("gitlab", { jwksFile: "/keys.json", maxAgeSeconds: 60 }));
  t.match(pinned, { jwksUrl: undefined, jwksFile: "/keys.json", maxAgeSeconds: 60 }, "what the source says counts");
});

t.test("tenants are told apart by ids that nobody can take over", async (t) => {
  const mutable = /sub$|slug|name$|path$|email|repository$|owner$|project_id$/;
  for (const { name, tenantClaims = [], issuers } of presets) {
    const facts = sourceFacts({ ...settingsOf(name), format: "jwt" });
    t.strictSame(facts.tenantClaims ?? [], tenantClaims, name);
    // Google's sub is the service account's unique id, and GitLab and Terraform number their projects.
    const allowed = ["sub", "project_id", "terraform_project_id"];
    for (const claim of tenantClaims.filter((one) => !allowed.includes(one))) t.notMatch(claim, mutable, name);
    if (name !== "gcp") t.notOk(tenantClaims.includes("sub"), name);
    const [issuer] = issuers;
    if (issuer === undefined || issuer.includes("{")) continue;
    const plain = sourceFacts({ ref: "x", format: "jwt", issuer, jwksUrl: `${issuer}/jwks` } as JwtSettings);
    t.strictSame(plain.tenantClaims, tenantClaims, `${name}: also without the preset`);
  }
});
