/** Each fuzz target with a fixed seed and a fixed number of cases; for longer, and with other seeds, `npm run fuzz`. */
import { spawnSync } from "node:child_process";
import t from "tap";
import { bendDer } from "./mutateDer.ts";
import { createRandom } from "./random.ts";
import { described, inputOf, runTarget } from "./run.ts";
import { holds, type Target } from "./target.ts";
import { targets } from "./targets.ts";
import { opensslCertificate } from "../x509/vectors.ts";

t.setTimeout(240_000);

for (const target of targets) {
  t.test(`${target.name}: ${target.about}`, async (t) => {
    t.teardown(() => target.close?.());
    const { cases, verdicts, findings } = await runTarget(target, { seed: 1, cases: target.cases });
    t.same(findings.map(described), []);
    t.equal(cases, target.cases);
    t.ok(
      verdicts.accepted >= target.cases / 50,
      `${verdicts.accepted} of ${cases} are accepted: it reaches beyond the first check`,
    );
    t.ok(verdicts.refused >= target.cases / 50, `and ${verdicts.refused} are refused`);
  });
}

t.test("a finding has all that it takes to make it again", async (t) => {
  const broken: Target = {
    name: "broken",
    about: "even numbers",
    cases: 100,
    slowMs: 50,
    make: (random) => Buffer.from([random.below(256)]),
    check(input) {
      holds((input[0] ?? 0) % 7 !== 0, "seven");
      return "accepted";
    },
  };
  const { findings, cases } = await runTarget(broken, { seed: 9, cases: 1000, findingsMax: 3 });
  t.equal(findings.length, 3);
  t.ok(cases < 1000, "it ends then");
  for (const finding of findings) {
    t.same(inputOf(broken, 9, finding.index), finding.input, "the same input from seed and index");
    t.match(described(finding), `--target broken --seed 9 --case ${finding.index}`);
    t.match(described(finding), "seven");
  }
  const again = await runTarget(broken, { seed: 9, cases: 1000, findingsMax: 3 });
  t.same(
    again.findings.map(({ index }) => index),
    findings.map(({ index }) => index),
  );
  const slow: Target = { ...broken, check: () => new Promise((resolve) => setTimeout(resolve, 80, "refused")) };
  t.match((await runTarget(slow, { seed: 1, cases: 1 })).findings[0]?.error, { message: /^slow: / });
});

t.test("the same seed bends DER in the same way, and mostly leaves something that is DER", async (t) => {
  const bent = (seed: number): Buffer => bendDer(createRandom(seed), opensslCertificate);
  t.same(bent(5), bent(5));
  t.equal(new Set(Array.from({ length: 50 }, (_, seed) => bent(seed).toString("hex"))).size > 40, true);
});

t.test("npm run fuzz: what it is told, and what it says", async (t) => {
  const fuzz = (...options: string[]) =>
    spawnSync(process.execPath, [`${import.meta.dirname}/main.ts`, ...options], { encoding: "utf8" });
  const help = fuzz("--help");
  t.equal(help.status, 0);
  for (const name of [...targets.map((target) => target.name), "states"]) t.match(help.stdout, `  ${name} `);
  const run = fuzz("--target", "base64url", "--seconds", "1", "--seed", "7");
  t.equal(run.status, 0, run.stderr);
  t.match(
    run.stdout, // On a busy machine it says in between how far it is.
    /^seed 7, 1 s for each of 1 targets\n(?: {2}base64url: \d+ cases\n)*base64url: \d+ cases, \d+ accepted, \d+ refused, 0 findings\nnothing found\n$/,
  );
  t.match(fuzz("--target", "base64url", "--input", "QUFBQQ").stdout, "AAAA\naccepted");
  for (const wrong of [
    ["--target", "none"],
    ["--seconds", "x"],
  ]) {
    const { status, stderr } = fuzz(...wrong);
    t.equal(status, 2, wrong.join(" "));
    t.match(stderr, /^[^\n]+\n$/, "one line");
  }
});
