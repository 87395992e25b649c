/** Revoking a hundred thousand certificates: how they are found, in steps of what length, and that issuing goes on beside it. */
import { randomUUID } from "node:crypto";
import pg from "pg";
import t from "tap";

import { putCertificates } from "../../bench/manyCertificates.ts";
import { newId } from "../../src/acme/id.ts";
import type { NewRevocation, RevocationKind } from "../../src/administration/revocationPorts.ts";
import { createRevocationActionStore } from "../../src/store/revocationActions.ts";
import { coveragePages } from "../../src/store/revocationCoverage.ts";
import { createRevocationProgress, revocationSteps } from "../../src/store/revocationProgress.ts";
import { selectionPaths, type SelectionPath } from "../../src/store/revocationSelection.ts";
import { makeCertificate, makeIssuer, openPool, query, spiffe } from "../support/database.ts";
import { migrate } from "../../src/store/migrate.ts";
import { temporaryPostgres } from "../support/postgres.ts";

t.setTimeout(240_000);
const { url } = await temporaryPostgres(t);
const db = openPool(t, url);
await migrate(db.kysely);
const store = createRevocationActionStore(db);
const progress = createRevocationProgress(db);

const [count, issuerId, accountId] = [100_000, randomUUID(), randomUUID()];
await makeIssuer(db, issuerId);
const many = { lifetimeSeconds: 3600, accountId, issuerId, identities: 1000 };
await putCertificates(db, { ...many, count, source: "cluster", grant: "agents" });
await putCertificates(db, { ...many, count: 20_000, source: "other", grant: "others", accountId: randomUUID() });

const ordered = (kind: RevocationKind, subject: string): NewRevocation => ({
  id: newId(new Date()),
  kind,
  subject,
  delegationSource: null,
  reason: 4,
  note: "a test",
  quarantine: false,
  blockKeys: false,
});

/** The index that leads to the certificates. Whatever has no index of its own is walked in the order of the ends. */
const indexes: Readonly<Record<SelectionPath, RegExp>> = {
  certificate: /certificate_pkey/,
  spiffe: /certificate_spiffe_id/,
  device: /certificate_permanent_identifier/,
  names: /certificate_dns_names/,
  addresses: /certificate_not_after/,
  key: /certificate_spki/,
  delegation: /certificate_delegation_delegator[^]*certificate_delegation_task/,
  account: /certificate_not_after/,
  issuer: /certificate_not_after/,
  grant: /certificate_not_after/,
  source: /certificate_not_after/,
};

t.test("each way to the certificates goes by its index, in a plan that is made once", async (t) => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  t.teardown(() => client.end());
  await client.query("set plan_cache_mode = force_generic_plan; set enable_seqscan = off");
  for (const path of selectionPaths) {
    for (const { name, text } of [revocationSteps[path], coveragePages[path]]) {
      const parameters = Math.max(...[...text.matchAll(/\$(\d+)/g)].map(([, n]) => Number(n)));
      await client.query(`prepare ${name} as ${text}`);
      const values = Array.from({ length: parameters }, () => "null").join(", ");
      const { rows } = await client.query<Record<string, string>>(`explain execute ${name}(${values})`);
      const plan = rows.map((row) => row["QUERY PLAN"]).join("\n");
      t.match(plan, indexes[path], `${name}\n${plan}`);
      t.notMatch(
        plan,
        /Seq Scan on \w*(certificate|revocation|identity)\b|Index Scan using (revocation|identity)_pkey[^\n]*\n(?! *Index Cond)/,
        name,
      );
      if (!indexes[path].test("certificate_not_after")) t.notMatch(plan, /certificate_not_after/, name);
    }
  }
});

t.test("a dry run over all of them, and all of an identity among them", async (t) => {
  const began = performance.now();
  const found = await store.coverage(ordered("source", "cluster"), new Date());
  const took = performance.now() - began;
  t.ok(found.certificates > count * 0.95 && found.certificates <= count, `${found.certificates}`);
  t.comment(`a dry run over ${count + 20_000}: ${Math.round(took)} ms`);
  t.ok(took < 30_000);
  const one = performance.now();
  t.match(await store.coverage(ordered("identity", "spiffe://mayfly.test/cluster/7"), new Date()), {
    certificates: /^(99|100)$/,
  });
  t.ok(performance.now() - one < 1_000, "without a look at the others");
});

t.test("a source, in steps that nobody waits for", async (t) => {
  const of = ordered("source", "cluster");
  const before = await store.coverage(of, new Date());
  const began = performance.now();
  await store.begin(of, new Date());
  const stopped = performance.now() - began;
  await progress.close(of.id);
  const steps: number[] = [];
  const beside: number[] = [];
  for (let state = "running"; state === "running";) {
    const at = performance.now();
    state = await progress.step({ ...of, closedAt: null }, 2_000);
    steps.push(performance.now() - at);
    if (steps.length % 10 > 0) continue;
    const issued = performance.now();
    await makeCertificate(db, { ...spiffe(`spiffe://mayfly.test/${randomUUID()}`), issuerId });
    beside.push(performance.now() - issued);
  }
  const took = performance.now() - began;
  const longest = Math.max(...steps);
  t.comment(
    `stopped after ${stopped.toFixed(1)} ms; ${before.certificates} revoked in ${Math.round(took)} ms, ${steps.length} steps, the longest ${Math.round(longest)} ms; an issuance beside it ${Math.round(Math.max(...beside))} ms`,
  );
  const done = await store.read(of.id);
  t.match(done, { state: "done", revokedBefore: 0 });
  t.ok((done?.revoked ?? 0) >= before.certificates - 200, "all that had not expired by then");
  t.same(
    await query(
      db,
      "select count(*)::int as n from revocation r join certificate c on c.serial = r.serial where c.account_id <> $1",
      [accountId],
    ),
    [{ n: 0 }],
  );
  t.ok(longest < 5_000);
  t.ok(took < 120_000);
});
