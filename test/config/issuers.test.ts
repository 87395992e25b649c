/** The section `issuers`: which lines there are, what they must be able to give, and what is refused or warned about. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { stringify } from "yaml";

import { issuerWarnings } from "../../src/config/issuers.ts";
import { loadConfiguration } from "../../src/config/load.ts";
import { defaultProfiles } from "../../src/config/schema.ts";

const directory = mkdtempSync(join(tmpdir(), "mayfly-test-"));
t.teardown(() => rmSync(directory, { recursive: true }));

function load(tree: object) {
  const file = join(directory, "mayfly.yaml");
  writeFileSync(file, stringify(tree));
  return loadConfiguration(file, {}).issuerLines;
}

const { workload, server } = defaultProfiles;

t.test("without a section: the default line, for the longest lifetime of all profiles, and the roots'", async (t) => {
  const { root, issuing } = load({});
  t.strictSame([...issuing.keys()], ["default"]);
  t.match(issuing.get("default"), {
    kind: "issuing",
    keyKind: "ec-p256",
    lifetimeSeconds: 1825 * 86_400,
    publishedSeconds: 300,
    longestSeconds: 604_800,
    automatic: true,
  });
  t.match(root, { kind: "root", longestSeconds: 1825 * 86_400, publishedSeconds: 2_592_000, automatic: true });
  t.strictSame(issuerWarnings({ root, issuing }), []);
});

t.test("several lines: each for its own profiles; default is there even so, and first", async (t) => {
  const { root, issuing } = load({
    issuers: { agents: { lifetimeDays: 30, keyKind: "ed25519" }, archive: { lifetimeDays: 2000, automatic: false } },
    profiles: { workload: { ...workload, issuer: "agents" }, server },
  });
  t.strictSame([...issuing.keys()], ["default", "agents", "archive"]);
  t.match(issuing.get("agents"), { keyKind: "ed25519", longestSeconds: 86_400, lifetimeSeconds: 30 * 86_400 });
  t.match(issuing.get("archive"), { longestSeconds: 0, automatic: false });
  t.equal(root.longestSeconds, 2000 * 86_400, "of all lines");
});

t.test("what is impossible is refused with a sentence", async (t) => {
  const refusals: [object, RegExp][] = [
    [
      { profiles: { workload: { ...workload, issuer: "agents" } } },
      /^profiles\.workload\.issuer: "agents": expected a line of issuers: default$/,
    ],
    [{ issuers: { default: { lifetimeDays: 7 } } }, /^issuers\.default\.lifetimeDays: 7: expected at least 8: /],
    [{ issuers: { default: { lifetimeDays: 3650 } } }, /^hierarchy\.rootLifetimeDays: 3650: expected at least 3681: /],
    [{ issuers: { root: {} } }, /^issuers\.root: expected another name/],
    [{ issuers: { Agents_: {} } }, /issuers/],
    [{ issuers: { default: { keyKind: "ec-p521" } } }, /issuers\.default\.keyKind/],
    [{ issuers: { default: { publishedSeconds: 4 } } }, /issuers\.default\.publishedSeconds/],
    [{ hierarchy: { rootPublishedSeconds: 899 } }, /hierarchy\.rootPublishedSeconds/],
    [
      { issuers: { default: { nameConstraints: { uri: ["10.0.0.1"] } } } },
      /nameConstraints: "10\.0\.0\.1": expected a domain name/,
    ],
    [{ issuers: { default: { nameConstraints: { ip: ["10.0.0.1/8"] } } } }, /nameConstraints: A network's address/],
  ];
  for (const [tree, expected] of refusals) t.throws(() => load(tree), expected, JSON.stringify(tree));
  t.equal(load({ issuers: { default: { lifetimeDays: 8 } } }).issuing.get("default")?.lifetimeSeconds, 691_200);
});

t.test("what is unwise is warned about", async (t) => {
  const warnings = issuerWarnings(
    load({
      issuers: { default: { lifetimeDays: 30, nameConstraints: { uri: ["mayfly.localhost"], dns: ["internal"] } } },
    }),
  );
  t.match(warnings, { length: 2, 0: /more than a sixth/, 1: /several verifiers mishandle/ });
  t.strictSame(issuerWarnings(load({ issuers: { default: { nameConstraints: {} } } })), [], "nothing is constrained");
});
