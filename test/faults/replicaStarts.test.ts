/** A second server starts while the first one is in the middle of its work: it leaves that work alone, and what is nobody's it finishes. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import pg from "pg";
import t from "tap";
import { stringify } from "yaml";

import { acmeDriver, dns } from "../support/acmeDriver.ts";
import { attested, challengeOf, query, settled } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { temporaryPostgres } from "../support/postgres.ts";
import { runMayfly } from "../support/program.ts";
import { sibling } from "../support/replicas.ts";
import { serverPlace, startServer } from "../support/serverProcess.ts";
import { hesitantTarget } from "../support/validationTargets.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real servers on a busy machine.

t.test("a live server's issuance and validation are not taken from it", async (t) => {
  const target = await hesitantTarget(t);
  const validation = { http01Port: target.port, timeoutMs: 10_000, patienceMs: 0 };
  const signing = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  let hold = false;
  const ca = await certificateAuthority(t, {
    configuration: { validation },
    ledger: (ledger) => ({
      ...ledger,
      async record(serial, certificate) {
        if (hold) {
          signing.resolve();
          await started.promise;
        }
        return ledger.record(serial, certificate);
      },
    }),
  });
  const alice = await (await acmeDriver(t, ca)).account();
  const named = await alice.newOrder(dns("slow.localhost"));
  const challenge = challengeOf(await alice.readAuthorization(named.authorizations[0]), "http-01");
  t.equal((await alice.post(challenge.url, {})).json()["status"], "processing");
  await target.asked;
  const flow = await attested(ca, alice);
  hold = true;
  const finalizing = alice.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) });
  await signing.promise;

  // However long the start takes here, intent and validation are as young as those of a request that lives.
  const young = setInterval(() => {
    const again = `with i as (update issuance_intent set tried_at = now())
      update acme_authorization set validating_since = now() where validating_since is not null`;
    query(ca, again).catch(() => undefined);
  }, 300);
  const taken: unknown[] = [];
  const second = await sibling(t, ca, {
    configuration: { validation },
    acme: {
      orders: (orders) => ({
        ...orders,
        async reclaimValidations(before, limit) {
          const left = await orders.reclaimValidations(before, limit);
          taken.push(...left);
          return left;
        },
      }),
    },
  });
  clearInterval(young);
  hold = false;
  started.resolve();
  t.equal((await finalizing).json()["status"], "valid", "the first server's certificate counts");
  t.same(taken, [], "nor is its validation taken up");
  target.answer(`${challenge.token}.${alice.key.thumbprint}`);
  t.equal((await settled(alice, named.authorizations[0])).status, "valid");
  t.equal((await second.as(alice)).account, alice.account);
});

t.test("whoever starts and finds nobody takes up everything at once", async (t) => {
  let stuck = true;
  let last: Buffer | undefined;
  const ca = await certificateAuthority(t, {
    ledger: (ledger) => ({
      ...ledger,
      async record(serial, certificate) {
        if (stuck && last?.equals(serial)) throw new Error("cut off");
        return ledger.record(serial, certificate);
      },
      async intend(intent) {
        if (intent.door === "acme") last = intent.serial;
        return ledger.intend(intent);
      },
    }),
  });
  const alice = await (await acmeDriver(t, ca)).account();
  const flow = await attested(ca, alice);
  const reply = await alice.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) });
  t.equal(reply.json()["status"], "processing");
  await ca.close();
  stuck = false;
  const next = await sibling(t, ca);
  t.equal((await (await next.as(alice)).readOrder(flow.order.url)).status, "valid", "before it listened");
});

t.test(
  "two first starts at once on an empty database: one CA, one operator token, and the longest migration is waited for",
  async (t) => {
    const { url: databaseUrl } = await temporaryPostgres(t);
    const shared = await mkdtemp(join(tmpdir(), "mayfly-shared-"));
    t.teardown(() => rm(shared, { recursive: true }));
    const configuration = {
      database: { url: databaseUrl, statementTimeoutMs: 500 },
      access: { operatorTokenFile: join(shared, "operator-token") },
      keys: { development: { directory: join(shared, "keys"), passphraseFile: join(shared, "key-passphrase") } },
    };
    const migrating = new pg.Client({ connectionString: databaseUrl });
    await migrating.connect();
    await migrating.query("select pg_advisory_lock(3853314791062309107)"); // What kysely's migrator takes.
    const starting = Promise.all([
      certificateAuthority(t, { databaseUrl, configuration }),
      certificateAuthority(t, { databaseUrl, configuration }),
    ]);
    await sleep(1500); // Longer than a statement of the servers may take.
    await migrating.end();
    const [one, two] = await starting;
    t.equal(one.root, two.root);
    t.equal(one.operatorToken, two.operatorToken);
    t.equal([one, two].filter(({ authority }) => authority.firstStart).length, 1);
  },
);

t.test("a second server in the same data directory is told so, with a database of one's own as well", async (t) => {
  const first = await certificateAuthority(t);
  const { dataDir, databaseUrl } = first;
  await t.rejects(certificateAuthority(t, { dataDir, databaseUrl }), /in use by another Mayfly server/);
  const env = { MAYFLY_DATA_DIR: dataDir, MAYFLY_DATABASE_URL: databaseUrl };
  t.match(
    await runMayfly(["migrate"], { env }),
    { status: 0, stdout: "The schema is up to date.\n" },
    "migrate may come",
  );
  await first.close();
  await certificateAuthority(t, { dataDir, databaseUrl });
});

t.test("two processes on one port: each gets connections, and one goes on when the other ends", async (t) => {
  const { url: databaseUrl } = await temporaryPostgres(t);
  const first = await serverPlace(t, { MAYFLY_DATABASE_URL: databaseUrl });
  const second = { ...(await serverPlace(t)), url: first.url, directoryUrl: first.directoryUrl };
  const config = join(first.dataDir, "mayfly.yaml");
  const keys = { directory: join(first.dataDir, "keys"), passphraseFile: join(first.dataDir, "key-passphrase") };
  const operatorTokenFile = join(first.dataDir, "operator-token");
  await writeFile(
    config,
    stringify({ http: { reusePort: true }, keys: { development: keys }, access: { operatorTokenFile } }),
  );
  const env = { ...first.env, MAYFLY_CONFIG: config };
  const servers = [
    await startServer(t, { ...first, env }),
    await startServer(t, { ...second, env: { ...env, MAYFLY_DATA_DIR: second.dataDir } }),
  ] as const;
  const [{ root }] = servers;
  const acme = await acmeDriver(t, servers[0]);
  const alice = await acme.account();
  // Every request on a connection of its own, so that nonces wander between the two.
  const replies = await Promise.all(
    Array.from({ length: 60 }, () => alice.postAsGet(alice.account, { headers: { connection: "close" } })),
  );
  t.same(new Set(replies.map(({ status }) => status)), new Set([200]));
  const served = await Promise.all(Array.from({ length: 20 }, () => fingerprint(first.url, root)));
  t.equal(new Set(served).size, 2, "each has a listener certificate of its own, and both were seen");
  t.equal(await servers[0].stop("SIGTERM"), 0);
  t.equal((await (await acmeDriver(t, servers[1])).account()).account.startsWith(first.url), true);
});

/** Of the certificate that a new connection is shown. */
function fingerprint(url: string, ca: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), ca, servername: hostname }, () => {
    resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? "");
    socket.destroy();
  });
  socket.on("error", reject);
  return promise;
}
