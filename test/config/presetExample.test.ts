import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { parse, stringify } from "yaml";
import { rulesOf, withPreset } from "../../src/attestation/presetRules.ts";
import { presets } from "../../src/attestation/presets.ts";
import { verifyJwt } from "../../src/attestation/formats/jwt.ts";
import { staticKeys } from "../../src/attestation/jwks.ts";
import { configureTokenSource } from "../../src/attestation/tokenSource.ts";
import { decideGrant } from "../../src/authority/grantDecision.ts";
import { identityClaims } from "../../src/authority/grantedIdentity.ts";
import { commands } from "../../src/cli/commands.ts";
import { loadConfiguration } from "../../src/config/load.ts";
import { presetExample, presetNames } from "../../src/config/presetExample.ts";
import { presetTokens } from "../attestation/presetTokens.ts";
import { compact, context, item, testKey } from "../attestation/testIssuer.ts";
import { runWords } from "../support/commandLine.ts";

const key = testKey("key-1", "RS256");

interface Written {
  readonly attestation: { readonly sources: readonly Record<string, unknown>[] };
  readonly grants: Record<string, unknown>[];
}

function load(t: Test, text: string) {
  const file = join(t.testdir(), "mayfly.yaml");
  writeFileSync(file, text);
  return loadConfiguration(file, {});
}

for (const { name } of presets) {
  t.test(`${name}: what is printed is a configuration, and gives the platform's workload its identity`, async (t) => {
    const { status, stdout } = await runWords(commands, ["presets", name]);
    t.equal(status, 0);
    t.equal(stdout, presetExample(name));
    const { grants } = load(t, stdout);
    const token = presetTokens[name];
    const settings = { ref: name, format: "jwt", preset: name, ...token?.settings };
    const source = configureTokenSource(withPreset(settings), staticKeys({ keys: [key.jwk] }));
    const evidence = await verifyJwt(
      item(compact(key, token?.claims ?? {}), "jwt", name),
      source,
      context,
      rulesOf(settings),
    );
    const decided = decideGrant(grants, token?.spiffeId ?? "", [evidence]);
    t.match(decided, { grant: { name: grants[0]?.name } }, JSON.stringify(decided).slice(0, 300));
  });

  t.test(`${name}: a grant that forgets the tenant stops the start`, async (t) => {
    const written = parse(presetExample(name) ?? "") as Written;
    const { tenantClaims } = presets.find((preset) => preset.name === name) ?? {};
    for (const grant of written.grants) {
      const kept = (grant["conditions"] as { claim: string }[]).filter(({ claim }) => !tenantClaims?.includes(claim));
      const without = stringify({ ...written, grants: [{ ...grant, conditions: kept }] });
      if (tenantClaims === undefined) t.doesNotThrow(() => load(t, without));
      else t.throws(() => load(t, without), /expected equals, oneOf or prefix for the tenant/, String(grant["name"]));
    }
  });
}

t.test("no printed template is made of sub where that is no id, or of names", async (t) => {
  const ids = new Set(["environment", "ref_type", "terraform_run_phase"]);
  for (const { name } of presets) {
    if (name === "generic") continue;
    for (const { identity, conditions } of load(t, presetExample(name) ?? "").grants) {
      for (const claim of identityClaims(identity)) {
        if (name === "gcp" && claim === "sub") continue;
        t.ok(ids.has(claim) || /(?:_id|_number|_account|^oid)$/.test(claim), `${name}: ${claim}`);
      }
      if (name === "github-actions")
        t.notOk(
          conditions.some(({ claim }) => claim === "sub"),
          "neither form of its sub",
        );
    }
  }
});

t.test("the list, another trust domain, and a name that there is none of", async (t) => {
  const { stdout } = await runWords(commands, ["presets"]);
  t.strictSame(
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split(" ")[0]),
    presetNames.map(({ name }) => name),
  );
  const other = await runWords(commands, ["presets", "--name", "gitlab", "--trust-domain", "ours.example"]);
  t.match(other.stdout, /spiffe:\/\/ours\.example\/gitlab/);
  t.equal(load(t, other.stdout).trustDomain, "ours.example");
  const wrong = await runWords(commands, ["presets", "sesame"]);
  t.match(wrong, {
    status: 2,
    stdout: "",
    stderr: /there is no preset "sesame", expected one of github-actions, gitlab/,
  });
  t.match(await runWords(commands, ["presets", "gitlab", "gcp"]), {
    status: 2,
    stderr: /does not take the argument "gcp"/,
  });
});
