/** Several servers behind one URL on one database: what each of them answered holds on the others, at once and exactly once. */
import pg from "pg";
import t from "tap";

import { acmeDriver, clientKey, dns, flattened, type AcmeClient } from "../support/acmeDriver.ts";
import { attested, certificateKey, http01Target, issued, settled, show, validate } from "../support/acmeFlows.ts";
import { refused } from "../support/refused.ts";
import { replicas, sibling, wanderingDriver, type Replica } from "../support/replicas.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real servers on a busy machine.

const target = await http01Target(t);
const [a, b] = await replicas(t, { configuration: { validation: { http01Port: target.port } } });
const both = [a, b] as const;
const server = (index: number): Replica => both[index % 2 === 0 ? 0 : 1];
const alice = await a.acme.account();
const aliceAtB = await b.as(alice);
const at = (index: number): AcmeClient => (index % 2 === 0 ? alice : aliceAtB);

t.test("H-06b a nonce of a replica is accepted, once, wherever it is shown", async (t) => {
  const nonce = await a.acme.nonce();
  t.equal((await aliceAtB.postAsGet(alice.account, { header: { nonce } })).status, 200, "issued here, shown there");
  refused(t, await aliceAtB.postAsGet(alice.account, { header: { nonce } }), 400, "badNonce", "again there");
  refused(t, await alice.postAsGet(alice.account, { header: { nonce } }), 400, "badNonce", "again here");
  const spent = await b.acme.nonce();
  t.equal((await aliceAtB.postAsGet(alice.account, { header: { nonce: spent } })).status, 200);
  refused(
    t,
    await alice.postAsGet(alice.account, { header: { nonce: spent } }),
    400,
    "badNonce",
    "spent at home first",
  );
  t.equal(await b.metric('mayfly_foreign_nonces_total{outcome="accepted"}'), 1);
  t.equal(await b.metric('mayfly_foreign_nonces_total{outcome="refused"}'), 1);
  t.equal(await b.metric("mayfly_siblings_connected"), 1);
});

t.test("H-06a 1,000 parallel uses of one nonce over two servers → exactly one success", async (t) => {
  const nonce = await a.acme.nonce();
  const replies = await Promise.all(
    Array.from({ length: 1000 }, (_, index) => at(index).postAsGet(alice.account, { header: { nonce } })),
  );
  t.equal(replies.filter(({ status }) => status === 200).length, 1);
  t.ok(replies.filter(({ status }) => status !== 200).every(({ text }) => text.includes("badNonce")));
});

t.test("500 nonces of each server, all shown to the other at once, are accepted", async (t) => {
  const nonces = await Promise.all(Array.from({ length: 1000 }, (_, index) => server(index).acme.nonce()));
  const replies = await Promise.all(
    nonces.map((nonce, index) => at(index + 1).postAsGet(alice.account, { header: { nonce } })),
  );
  t.same([...new Set(replies.map(({ status }) => status))], [200]);
});

t.test(
  "H-06b nonces of another deployment and of a process that has ended → badNonce, and the retry works",
  async (t) => {
    const other = await certificateAuthority(t);
    const elsewhere = await (await acmeDriver(t, other)).nonce();
    const third = await sibling(t, a.ca);
    const left = [await third.acme.nonce(), await third.acme.nonce()];
    await third.ca.close();
    for (const nonce of [elsewhere, ...left]) {
      const reply = await alice.postAsGet(alice.account, { header: { nonce } });
      refused(t, reply, 400, "badNonce");
      t.equal((await alice.postAsGet(alice.account)).status, 200, "the retry, with the refusal's nonce, works");
    }
    t.equal(await a.metric('mayfly_foreign_nonces_total{outcome="unanswered"}'), 2, "of another deployment: not asked");
  },
);

t.test("whole issuances whose every request goes to the other server than the one before", async (t) => {
  const wandering = await wanderingDriver(t, a.ca, b.ca);
  const dora = await wandering.account();
  const { chain } = await issued(a.ca, dora);
  t.match(chain, /^-----BEGIN CERTIFICATE-----/);
  const order = await dora.newOrder(dns("one.localhost"), dns("two.localhost"));
  await validate(target, dora, order);
  const reply = await dora.post(order.finalize, {
    csr: certificateKey().csr({ dns: ["one.localhost", "two.localhost"] }),
  });
  t.equal(reply.json()["status"], "valid");
});

t.test("newAccount with one key on both at once → one account", async (t) => {
  const key = clientKey();
  const replies = await Promise.all(
    Array.from({ length: 20 }, (_, index) => server(index).acme.client(key).register()),
  );
  t.equal(replies.filter((reply) => reply.status === 201).length, 1);
  t.equal(replies.filter((reply) => reply.status === 200).length, 19);
  t.equal(new Set(replies.map((reply) => reply.headers.location)).size, 1);
});

t.test("H-19 finalize on both at once → one certificate", async (t) => {
  const flow = await attested(a.ca, alice);
  const csr = flow.key.csr({ uri: [flow.spiffeId] });
  const replies = await Promise.all(
    Array.from({ length: 20 }, (_, index) => at(index).post(flow.order.finalize, { csr })),
  );
  t.equal(replies.filter(({ status }) => status === 200).length, 1);
  t.ok(replies.filter(({ status }) => status !== 200).every(({ text }) => text.includes("orderNotReady")));
  const { body } = await b.ca.inventory(`/certificates?spiffeId=${encodeURIComponent(flow.spiffeId)}`);
  t.match(body["certificates"], { length: 1 });
});

t.test("R7.5.1-5 responses to one challenge on both at once → one validation", async (t) => {
  const order = await alice.newOrder(dns("once.localhost"));
  const challenge = show(target, alice, await alice.readAuthorization(order.authorizations[0]));
  const replies = await Promise.all(Array.from({ length: 20 }, (_, index) => at(index).post(challenge.url, {})));
  t.same([...new Set(replies.map(({ status }) => status))], [200]);
  t.equal((await settled(aliceAtB, order.authorizations[0])).status, "valid");
  t.equal(target.asked.get(`/.well-known/acme-challenge/${challenge.token}`), 1);
});

t.test("H-05 H-09 a key change on one server counts on the other in the same instant", async (t) => {
  const bob = await a.acme.account();
  const bobAtB = await b.as(bob);
  t.equal((await bobAtB.postAsGet(bob.account)).status, 200, "B keeps the old key");
  const next = clientKey();
  const { keyChange } = a.acme.directory;
  const header = { alg: next.alg, jwk: next.jwk, url: keyChange };
  const inner = flattened(next, header, { account: bob.account, oldKey: bob.key.jwk });
  t.equal((await bob.post(keyChange, inner)).status, 200);
  refused(t, await bobAtB.postAsGet(bob.account), 400, "malformed", "the old key");
  const orders = { identifiers: [dns("old-key.localhost")] };
  refused(t, await bobAtB.post(b.acme.directory.newOrder, orders), 400, "malformed", "the old key makes nothing");
  bobAtB.useKey(next);
  t.equal((await bobAtB.postAsGet(bob.account)).status, 200, "the new key");
});

t.test("H-01b a deactivation on one server counts on the other in the same instant", async (t) => {
  const carol = await a.acme.account();
  const carolAtB = await b.as(carol);
  const order = await carolAtB.newOrder(dns("carol.localhost"));
  t.equal((await carol.post(carol.account, { status: "deactivated" })).status, 200);
  for (const [url, payload] of [
    [b.acme.directory.newOrder, { identifiers: [dns("late.localhost")] }],
    [order.url, undefined],
    [carol.account, undefined],
    [order.finalize, { csr: certificateKey().csr({ dns: ["carol.localhost"] }) }],
  ] as const)
    refused(t, await carolAtB.post(url, payload), 401, "unauthorized", url);
});

t.test("500 orders of one account at once over both", async (t) => {
  const orders = await Promise.all(
    Array.from({ length: 500 }, (_, index) => at(index).newOrder(dns(`n${index}.localhost`))),
  );
  t.equal(new Set(orders.map(({ url }) => url)).size, 500);
});

/** No new connection to the servers' database until the returned function is called. */
async function closeDoor(): Promise<() => Promise<void>> {
  const url = new URL(a.ca.databaseUrl);
  const name = url.pathname.slice(1);
  url.pathname = "/postgres";
  const outside = new pg.Client({ connectionString: url.href });
  await outside.connect();
  await outside.query(`alter database ${name} with allow_connections false`);
  await outside.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mayfly siblings'",
  );
  return async () => {
    await outside.query(`alter database ${name} with allow_connections true`);
    await outside.end();
  };
}

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let round = 0; round < 200; round++) {
    if (await what()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("it never came true");
}

t.test(
  "no connection to the siblings → badNonce at once, seen in the metrics; and it comes back by itself",
  async (t) => {
    const [nonce, later] = [await a.acme.nonce(), await a.acme.nonce()];
    const own = await b.acme.nonce();
    const open = await closeDoor();
    await until(async () => (await b.metric("mayfly_siblings_connected")) === 0);
    const reply = await aliceAtB.postAsGet(alice.account, { header: { nonce } });
    refused(t, reply, 400, "badNonce");
    t.equal((await aliceAtB.postAsGet(alice.account)).status, 200, "the retry, with the refusal's nonce, works");
    t.equal((await aliceAtB.postAsGet(alice.account, { header: { nonce: own } })).status, 200, "and so do its own");
    t.equal(await b.metric('mayfly_foreign_nonces_total{outcome="disconnected"}'), 1);
    await open();
    await until(async () =>
      (await Promise.all(both.map((one) => one.metric("mayfly_siblings_connected")))).every((up) => up === 1),
    );
    t.equal(
      (await aliceAtB.postAsGet(alice.account, { header: { nonce: later } })).status,
      200,
      "issued before the cut",
    );
  },
);
