/** Years of rotation in simulated time: at every step the active issuer gives a full lifetime, and whoever must know it does. */
import { X509Certificate } from "node:crypto";
import t from "tap";

import type { IssuerLines } from "../../../src/authority/issuerLine.ts";
import { day, rotationGround, testLines } from "../../support/rotation.ts";

interface Years {
  readonly lines: IssuerLines;
  readonly days: number;
  readonly stepSeconds: number;
  /** How long ago relying parties may have fetched the bundle. */
  readonly bundleAgeSeconds: number;
}

/** What went wrong, and what was made. */
async function years({ lines, days, stepSeconds, bundleAgeSeconds }: Years) {
  const { clock, store, rotation, issuers, moves, failures } = await rotationGround(lines);
  const findings = new Set<string>();
  const line = lines.issuing.get("default") ?? lines.root;
  const end = clock.now.getTime() + days * day * 1000;
  /** Roots as relying parties may still have them. */
  const bundles: { at: number; roots: Set<string> }[] = [];
  /** The end of the last leaf of each issuing CA. */
  const leaves = new Map<string, number>();
  let most = 0;
  while (clock.now.getTime() < end) {
    await rotation.run();
    const now = clock.now.getTime();
    const active = issuers.active("default");
    if (active.notAfter.getTime() < now + line.longestSeconds * 1000)
      findings.add(`${clock.now.toISOString()}: the active one ends ${active.notAfter.toISOString()}`);
    const [root] = issuers.roots();
    if (root === undefined || root.state !== "active" || root.notAfter.getTime() <= now)
      findings.add("no root that counts");
    const known = issuers.roots().map(({ certificate }) => new X509Certificate(certificate));
    bundles.push({ at: now, roots: new Set(known.map(({ fingerprint256 }) => fingerprint256)) });
    while ((bundles[1]?.at ?? Infinity) <= now - bundleAgeSeconds * 1000) bundles.shift();
    const own = rootOf(active.certificate, known);
    // Whoever fetched the bundle that long ago verifies what is issued now; at the start there was nobody.
    if (own === undefined || bundles.some(({ roots }) => !roots.has(own.fingerprint256)))
      findings.add(`${clock.now.toISOString()}: a root that is too new`);
    leaves.set(active.id, now + line.longestSeconds * 1000);
    for (const [id, notAfter] of leaves) {
      if (notAfter <= now) continue;
      const issuer = issuers.byId(id);
      if (issuer === undefined) findings.add("an issuer was retired while a certificate of it was in force");
      else if (issuer.notAfter.getTime() < notAfter) findings.add("a leaf outlived its issuer");
      else if (rootOf(issuer.certificate, known) === undefined) findings.add("a root went that something chained to");
    }
    store.ends.set(active.id, new Date(now + line.longestSeconds * 1000));
    most = Math.max(most, issuers.all().length);
    clock.now = new Date(now + stepSeconds * 1000);
  }
  const made = (kind: "root" | "issuing") => store.issuers.filter((one) => one.kind === kind);
  return { findings: [...findings], failures, moves, most, roots: made("root"), issuing: made("issuing") };
}

const verified = new Map<string, boolean>();

/** The root among these that signed it; each pair is looked at once. */
function rootOf(certificate: Buffer, roots: readonly X509Certificate[]): X509Certificate | undefined {
  const parsed = new X509Certificate(certificate);
  return roots.find((root) => {
    const pair = parsed.fingerprint256 + root.fingerprint256;
    const known = verified.get(pair) ?? (parsed.checkIssued(root) && parsed.verify(root.publicKey));
    verified.set(pair, known);
    return known;
  });
}

t.test("a year of CAs of 90 days and certificates of seven", async (t) => {
  const { findings, failures, roots, issuing, most, moves } = await years({
    lines: testLines(),
    days: 366,
    stepSeconds: 3600,
    bundleAgeSeconds: 900,
  });
  t.same(findings, []);
  t.same(failures, []);
  t.equal(roots.length, 1);
  // Each is followed about seven days before its end, and the next is there 30 days before.
  t.ok(issuing.length >= 5 && issuing.length <= 7, `${issuing.length} issuing CAs`);
  t.equal(most, 2, "never more than two at a time");
  t.ok(
    moves.some(({ act }) => act === "retire"),
    "and those of which nothing counts are retired",
  );
  t.equal(new Set(issuing.map(({ keyLabel }) => keyLabel)).size, issuing.length, "each with a key of its own");
});

t.test("four years of roots of one year, with issuing CAs of 90 days", async (t) => {
  const { findings, failures, roots, issuing } = await years({
    lines: testLines({}, { lifetimeSeconds: 365 * day, publishedSeconds: 30 * day }),
    days: 4 * 365,
    stepSeconds: 6 * 3600,
    bundleAgeSeconds: 30 * day - 6 * 3600,
  });
  t.same(findings, []);
  t.same(failures, []);
  t.ok(roots.length >= 5 && roots.length <= 7, `${roots.length} roots`);
  t.ok(issuing.length >= 4 * 5 && issuing.length <= 30, `${issuing.length} issuing CAs`);
  t.ok(roots.filter(({ state }) => state === "retired").length >= 3, "old roots go when nothing chains to them");
});

t.test("what is hardly possible: CAs of eight days and certificates of seven", async (t) => {
  const { findings, failures } = await years({
    lines: testLines({ lifetimeSeconds: 8 * day }),
    days: 60,
    stepSeconds: 60 * 10,
    bundleAgeSeconds: 900,
  });
  t.same(findings, []);
  t.same(failures, []);
});

t.test("these checks find what they are for", async (t) => {
  const late = await years({
    lines: testLines({ longestSeconds: 7 * day, automatic: false }),
    days: 89,
    stepSeconds: 3600,
    bundleAgeSeconds: 900,
  }).catch((error: unknown) => ({ findings: [String(error)] }));
  t.match(late.findings[0], /the active one ends/);
});
