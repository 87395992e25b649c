/** The database dies in the middle of a flow: 503 with Retry-After and nothing spoilt; and all goes on once it is back. */
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import t, { type Test } from "tap";

import { isAlive } from "../../src/store/embeddedPostmaster.ts";
import { startEmbeddedPostgres, type EmbeddedPostgres } from "../../src/store/embeddedPostgres.ts";
import { acmeDriver, dns, uri, type Reply } from "../support/acmeDriver.ts";
import {
  attested,
  attesting,
  certificateIdOf,
  certificateKey,
  challengeOf,
  issued,
  respond,
  settled,
  spiffeIdOf,
} from "../support/acmeFlows.ts";
import {
  certificateAuthority,
  type TestAuthority,
  type TestAuthorityOptions,
} from "../support/certificateAuthority.ts";
import { returning } from "../support/processFlows.ts";
import { hesitantTarget } from "../support/validationTargets.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

/** One database and one CA for all, in `postgres` and `data` below. */
const folder = await mkdtemp(join(tmpdir(), "mayfly-away-"));
let postgres: EmbeddedPostgres = await startPostgres();
t.teardown(async () => {
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
});

function startPostgres(): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ directory: join(folder, "postgres"), log: () => undefined });
}

/** PostgreSQL dies without a word to its clients. Its sessions notice in their own time, and may answer until they do. */
async function away(): Promise<void> {
  const { pid } = postgres;
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  process.kill(pid, "SIGKILL");
  await postgres.stop();
  for (const child of children.trim().split(" ").map(Number)) while (await isAlive(child)) await delay(10);
}

/** It replays its log and listens where it did before. */
async function back(): Promise<void> {
  postgres = await startPostgres();
}

async function authority(t: Test, options: TestAuthorityOptions = {}): Promise<TestAuthority> {
  const dataDir = join(folder, "data");
  await mkdir(dataDir, { recursive: true });
  return certificateAuthority(t, { databaseUrl: postgres.url, dataDir, ...options });
}

/** The same authority again, as after a restart: what was left in the middle is taken up. */
async function restarted(t: Test, ca: TestAuthority, options: TestAuthorityOptions = {}): Promise<TestAuthority> {
  await ca.close();
  return authority(t, { ...options, port: ca.configuration.listenPort });
}

function unavailable(t: Test, reply: Reply, what: string): void {
  const { status, headers } = reply;
  t.equal(status, 503, what);
  t.equal(headers["content-type"], "application/problem+json", `${what}: a problem document`);
  t.match(headers["retry-after"], /^\d+$/, `${what}: and when to come back`);
  t.match(reply.json(), { status: 503, detail: "the database is not available right now" });
}

t.test("H-29 every step is told to come back, and goes on where it was", async (t) => {
  const ca = await authority(t);
  const driver = await acmeDriver(t, ca);
  const alice = await driver.account();
  const waiting = await attesting(ca, alice);
  const token = await ca.devToken(waiting.subject, waiting.boundAudience);
  const ready = await attested(ca, alice);
  const order = { identifiers: [uri(spiffeIdOf("later"))] };
  const { chain, spiffeId } = await issued(ca, alice);
  const renewal = { identifiers: [uri(spiffeId)], replaces: certificateIdOf(chain) };
  const csr = { csr: ready.key.csr({ uri: [ready.spiffeId] }) };
  const steps: Readonly<Record<string, () => Promise<Reply>>> = {
    newAccount: () => driver.client().register(),
    newOrder: () => alice.post(driver.directory.newOrder, order),
    order: () => alice.postAsGet(waiting.order.url),
    authorization: () => alice.postAsGet(waiting.authorization.url),
    challenge: () => respond(waiting, token),
    finalize: () => alice.post(ready.order.finalize, csr),
    renewal: () => alice.post(driver.directory.newOrder, renewal),
    renewalInfo: () => driver.request(`${driver.directory.renewalInfo}/${renewal.replaces}`),
  };

  await away();
  for (const [name, step] of Object.entries(steps)) unavailable(t, await step(), name);
  t.equal((await steps["renewalInfo"]?.())?.headers["cache-control"], "no-store", "and nobody keeps that answer");
  t.equal((await ca.inventory("/certificates")).status, 503, "the inventory");
  t.equal((await ca.inventory("/incidents")).status, 503, "incidents");
  t.equal((await driver.request(`${ca.url}/readyz`)).status, 503, "not ready");
  t.equal((await driver.request(`${ca.url}/healthz`)).status, 200, "but alive");

  await back();
  t.equal((await alice.readOrder(ready.order.url)).status, "ready", "an order that was ready still is");
  for (const [name, step] of Object.entries(steps)) t.match((await step()).status, /^20[01]$/, `${name} again`);
  t.equal((await alice.readOrder(waiting.order.url)).status, "ready", "the evidence was not used up by the failure");
  t.equal((await alice.readOrder(ready.order.url)).status, "valid");
});

t.test(
  "H-29 H-19 between signature and record: the order is processing, then valid with the one certificate",
  async (t) => {
    let armed = false;
    const ca = await authority(t, {
      ledger: (real) => ({
        ...real,
        async record(serial, certificate) {
          if (armed) await away();
          armed = false;
          return real.record(serial, certificate);
        },
      }),
    });
    const alice = await (await acmeDriver(t, ca)).account();
    const flow = await attested(ca, alice);
    armed = true;
    const reply = await alice.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) });
    t.equal(reply.status, 200);
    t.equal(reply.json()["status"], "processing", "the intent is committed: this order will be finished");
    t.match(reply.headers["retry-after"], /^\d+$/);
    unavailable(t, await alice.postAsGet(flow.order.url), "the order meanwhile");

    await back();
    t.equal((await alice.readOrder(flow.order.url)).status, "processing", "no failure of ours makes an order invalid");
    const next = await restarted(t, ca);
    const again = await returning(await acmeDriver(t, next), alice);
    t.equal((await again.readOrder(flow.order.url)).status, "valid");
    const { body } = await next.inventory(`/certificates?spiffeId=${encodeURIComponent(flow.spiffeId)}`);
    t.match(body["certificates"], { length: 1 });
  },
);

t.test("H-29 while a validation runs: neither valid nor invalid, and validated after the restart", async (t) => {
  const target = await hesitantTarget(t);
  const configuration = { validation: { http01Port: target.port, patienceMs: 0 } };
  const ca = await authority(t, { configuration });
  const alice = await (await acmeDriver(t, ca)).account();
  const order = await alice.newOrder(dns("away.localhost"));
  const challenge = challengeOf(await alice.readAuthorization(order.authorizations[0]), "http-01");
  t.equal((await alice.post(challenge.url, {})).json()["status"], "processing");
  await target.asked;
  await away();
  target.answer(`${challenge.token}.${alice.key.thumbprint}`);
  unavailable(t, await alice.postAsGet(order.url), "the order meanwhile");

  await back();
  t.equal((await alice.readOrder(order.url)).status, "pending");
  const next = await restarted(t, ca, { configuration });
  const again = await returning(await acmeDriver(t, next), alice);
  t.equal((await settled(again, order.authorizations[0])).status, "valid");
  const key = certificateKey();
  const reply = await again.post(order.finalize, { csr: key.csr({ dns: ["away.localhost"] }) });
  t.equal(reply.json()["status"], "valid");
});
