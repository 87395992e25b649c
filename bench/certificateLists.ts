/**
 * What a large revocation list costs: from rows in Postgres to a list that is signed, verified, linted and published, as a server makes it, with the
 * memory of this process. Keys in SoftHSM2 or in files; Postgres with full durability.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import pg from "pg";

import { createRevokedEntries, assembleCertificateList } from "../src/x509/certificateListWriter.ts";
import { establishHierarchy } from "../src/authority/hierarchy.ts";
import { openIssuers } from "../src/authority/issuers.ts";
import { lintList } from "../src/authority/revocation/lintList.ts";
import { makeDueLists } from "../src/authority/revocation/makeLists.ts";
import { prepareList } from "../src/authority/revocation/prepareList.ts";
import { openKeys } from "../src/keys/open.ts";
import type { KeyKind } from "../src/keys/signer.ts";
import { createCertificateListStore } from "../src/store/certificateLists.ts";
import { openDatabase } from "../src/store/database.ts";
import { startEmbeddedPostgres } from "../src/store/embeddedPostgres.ts";
import { createIssuerStore } from "../src/store/issuers.ts";
import { migrate } from "../src/store/migrate.ts";
import { softhsmToken } from "../test/support/softhsm.ts";

const times = { lifetimeSeconds: 86_400, intervalSeconds: 43_200 };

/** Revoked certificates of the issuer, on a list already or not; each has a reason, which makes an entry as large as it gets. */
const putRevoked = `insert into revocation (serial, issuer_id, not_after, revoked_at, reason, revoked_by, shard, list_number, published_at)
  select int2send((extract(epoch from now())::bigint / 86400 + 90)::smallint) || substring(decode(md5(n::text), 'hex') for 14), $1, now() + interval '90 days', date_trunc('second', now()) - n * interval '1 second', 1,
         'operator', 0, case when $3 then 1 end, case when $3 then now() end
  from generate_series(1, $2::integer) n`;

const megabytes = (octets: number): string => `${Math.round(octets / 1e6)} MB`;
const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`;

/** Prints one line for each way. @param kind of the issuing key */
export async function measureLists(count: number, keys: "softhsm" | "development", kind: KeyKind): Promise<string> {
  const clean: (() => unknown)[] = [];
  try {
    return await measured(count, keys, kind, clean);
  } finally {
    for (const action of clean.toReversed()) await action();
  }
}

async function measured(
  count: number,
  provider: "softhsm" | "development",
  keyKind: KeyKind,
  clean: (() => unknown)[],
): Promise<string> {
  const directory = mkdtempSync(path.join(os.tmpdir(), "mayfly-bench-"));
  clean.push(() => rmSync(directory, { recursive: true, force: true }));
  const postgres = await startEmbeddedPostgres({ directory: path.join(directory, "postgres"), log: () => undefined });
  clean.push(() => postgres.stop());
  const options = { address: { url: postgres.url }, onError: () => undefined };
  const db = openDatabase({ ...options, poolSize: 8, statementTimeoutMs: 10_000 });
  clean.push(() => db.close());
  await migrate(db.kysely);
  const keys = await openedKeys(provider, directory, clean);
  const publicUrl = "http://crl.bench.test";
  const common = { keys, store: createIssuerStore(db), trustDomain: "mayfly.localhost", publicUrl };
  const lifetimes = { rootLifetimeDays: 3650, issuingLifetimeDays: 1825 };
  await establishHierarchy({
    ...common,
    ...lifetimes,
    keyLabel: "issuing",
    keyKind,
    crlShards: 1,
    now: new Date(Date.now() - 60_000),
  });
  const issuers = await openIssuers({ ...common, now: () => new Date() });
  const issuer = issuers.active("default");
  const store = createCertificateListStore(db);
  let failure: unknown;
  const make = (now: Date): Promise<number> =>
    makeDueLists({
      store,
      issuers: { listIssuers: () => [issuer] },
      times,
      now: () => now,
      onFailed: (_turn, error) => (failure = error),
    });
  await make(new Date(Date.now() - 50_000));

  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  clean.push(() => client.end());
  // The inventory is not what is measured: revocations without certificates.
  await client.query(putRevoked, [issuer.id, count - 1, true]);
  await client.query(putRevoked.replace("md5(n::text)", "md5('new' || n)"), [issuer.id, 1, false]);
  await client.query("vacuum analyze revocation");
  await client.query("checkpoint");

  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  const peakBefore = process.resourceUsage().maxRSS * 1024;
  const cpu = process.cpuUsage();
  const start = performance.now();
  const made = await make(new Date());
  const took = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  const peak = process.resourceUsage().maxRSS * 1024;
  if (made !== 1) throw new Error("the list was not made", { cause: failure });
  const [list] = await store.readPublished();

  const steps = await pureSteps(issuers, store, list?.number ?? 0);
  return [
    `${list?.entries} entries, ${list?.size} octets, ${issuer.key.algorithm} in ${keys.description.replace(/ in \/.*/, "")}`,
    `from rows in Postgres to a published list: ${seconds(took)}, of which CPU time of this process ${seconds((user + system) / 1000)}`,
    `the same up to the signed octets, step by step: ${steps}`,
    `RSS before: ${megabytes(before)} (peak ${megabytes(peakBefore)}); peak with the list: ${megabytes(peak)}`,
    "",
  ].join("\n");
}

async function openedKeys(provider: "softhsm" | "development", directory: string, clean: (() => unknown)[]) {
  if (provider === "development") {
    const own = path.join(directory, "keys");
    return await openKeys({ provider, directory: own, passphraseFile: path.join(directory, "passphrase") });
  }
  const token = softhsmToken({ teardown: (action) => clean.push(action) });
  Object.assign(process.env, token.env);
  const { module, pinFile } = token;
  const keys = await openKeys({
    provider: "pkcs11",
    module,
    token: token.token,
    pinFile,
    sessions: 2,
    queueLimit: 16,
    timeoutMs: 10_000,
  });
  clean.push(() => keys.close());
  return keys;
}

/** The same list again, step by step, without publishing it. */
async function pureSteps(
  issuers: Awaited<ReturnType<typeof openIssuers>>,
  store: ReturnType<typeof createCertificateListStore>,
  newest: number,
): Promise<string> {
  const issuer = issuers.active("default");
  const now = new Date();
  const turn = {
    issuerId: issuer.id,
    shard: 0,
    number: newest + 1,
    newest: { number: newest, thisUpdate: now },
  };
  const marks: [string, number][] = [];
  const entries = createRevokedEntries();
  let last = performance.now();
  const mark = (name: string): void => {
    marks.push([name, performance.now() - last]);
    last = performance.now();
  };
  const bounds = { expiredBefore: new Date(0), firstSerial: Buffer.alloc(0) };
  const count = await store.readRevoked(turn, bounds, (octets, start, end, at, reason) =>
    entries.add(octets, start, end, at, reason),
  );
  mark("read and written");
  const prepared = prepareList(issuer, turn, { entries, count }, times, now);
  mark("put together");
  const linted = lintList(prepared);
  mark("linted");
  const signature = await issuer.key.sign(linted);
  mark("signed and verified");
  const der = assembleCertificateList(linted.tbs, issuer.key.algorithm, signature);
  createHash("sha256").update(der).digest();
  mark("assembled and hashed");
  const all = marks.reduce((sum, [, took]) => sum + took, 0);
  return `${seconds(all)} (${marks.map(([name, took]) => `${name} ${seconds(took)}`).join(", ")})`;
}
