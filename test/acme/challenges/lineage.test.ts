/** Renewal by possession of the certificate before, and the clones that it finds. */
import { randomUUID } from "node:crypto";
import t from "tap";
import { acmeDriver, type AcmeClient, type AcmeDriver } from "../../support/acmeDriver.ts";
import { attested, audienceOf, query } from "../../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../../support/certificateAuthority.ts";
import { boundTo, inline, order as orderWith } from "../../support/inlineFlows.ts";
import {
  collect,
  dersOf,
  finalize,
  firstCertificate,
  proofFor,
  readyRenewal,
  renew,
  renewalOrder,
  renewing,
  serialOf,
  show,
  type Held,
} from "../../support/possessionFlows.ts";
import { evidenceRefused, refused } from "../../support/refused.ts";

interface Ground {
  readonly ca: TestAuthority;
  readonly acme: AcmeDriver;
  readonly alice: AcmeClient;
  /** The server's clock, ahead of this one by so many milliseconds. */
  readonly clock: { ahead: number };
}

async function open(onClone: string, maxChainAgeSeconds = 3600): Promise<Ground> {
  const clock = { ahead: 0 };
  const ca = await certificateAuthority(t, {
    configuration: renewing({ onClone }, maxChainAgeSeconds),
    now: () => new Date(Date.now() + clock.ahead),
  });
  const acme = await acmeDriver(t, ca);
  return { ca, acme, alice: await acme.account(), clock };
}

const grounds = new Map<string, Promise<Ground>>();
/** The server whose grant does this with clones; one for each, for all tests. */
function ground(onClone = "refuse"): Promise<Ground> {
  const opened = grounds.get(onClone) ?? open(onClone);
  grounds.set(onClone, opened);
  return opened;
}

const cloned = { subproblems: [{ type: "urn:mayfly:workload-attest:error:instanceCloned" }] };
const lineageOf = async (ca: TestAuthority, first: Held) =>
  (
    await query(
      ca,
      "select encode(newest_serial, 'hex') as newest, renewals::int, clones::int, cloned_at is not null as cloned from renewal_lineage where id = $1",
      [Buffer.from(serialOf(first), "hex")],
    )
  )[0];
const clonesTold = (ca: TestAuthority, first: Held) =>
  query(
    ca,
    "select actor, detail from audit_entry where event = 'instance.cloned' and detail->>'lineage' = $1 order by id",
    [serialOf(first)],
  );
/** Shows `held` for renewal, with a new order: the answer of the challenge. */
async function showAgain({ ca }: Ground, client: AcmeClient, held: Held) {
  const flow = await renewalOrder(ca, client, held.spiffeId);
  return await show(flow, proofFor(flow, held));
}

t.test("renewals with a new key and a new account each, one after the other", async (t) => {
  const { ca, acme, alice } = await ground();
  const first = await firstCertificate(ca, alice);
  let held = first;
  const seen = [serialOf(first)];
  for (let i = 0; i < 3; i++) {
    held = await renew(ca, await acme.account(), held);
    seen.push(serialOf(held));
  }
  t.equal(new Set(seen).size, 4);
  t.match(await lineageOf(ca, first), { newest: seen[3], renewals: 3, clones: 0, cloned: false });
  const rows = await query(
    ca,
    "select encode(lineage, 'hex') as lineage, encode(renewed_from, 'hex') as renewed_from, evidence->0->'proved'->'record' as record from certificate where spiffe_id = $1 order by issued_at",
    [first.spiffeId],
  );
  t.match(rows[0], { lineage: null, renewed_from: null, record: { platform: { grant: "development" } } });
  for (const i of [1, 2, 3]) {
    t.match(rows[i], {
      lineage: seen[0],
      renewed_from: seen[i - 1],
      record: { grant: "renew-dev", renewal: { lineage: seen[0], from: seen[i - 1], onClone: "refuse" } },
    });
    t.same(
      (rows[i]?.["record"] as { platform: unknown } | undefined)?.platform,
      (rows[0]?.["record"] as { platform: unknown } | undefined)?.platform,
      "the platform's evidence is the first one's",
    );
  }
});

t.test("CVE-2026-39388 renewal judges identity and key anew", async (t) => {
  const held = await ground();
  const { ca, acme, alice } = held;
  const mine = await firstCertificate(ca, alice);
  const other = await firstCertificate(ca, alice);

  const forOther = await renewalOrder(ca, alice, other.spiffeId);
  evidenceRefused(t, await show(forOther, proofFor(forOther, mine)), "identityNotDerived", "another identity");

  const keyOnly = await renewalOrder(ca, alice, other.spiffeId);
  const stolen = { ...other, key: mine.key };
  evidenceRefused(
    t,
    await show(keyOnly, proofFor(keyOnly, stolen)),
    "evidenceInvalid",
    "the certificate without its key",
  );

  const flow = await readyRenewal(ca, alice, mine);
  const csr = other.key.csr({ uri: [mine.spiffeId] });
  refused(t, await alice.post(flow.order.finalize, { csr }), 400, "badCSR", "a key that was not committed to");
  const names = flow.key.csr({ uri: [other.spiffeId] });
  refused(t, await alice.post(flow.order.finalize, { csr: names }), 400, "badCSR", "another name in the CSR");
  t.equal((await finalize(flow)).status, 200);

  const server = await query(ca, "select der from certificate where door = 'listener'");
  t.equal(server.length, 1, "the listener's own certificate is of this CA too, and no SVID");
  const renewed = await readyRenewal(ca, await acme.account(), other);
  await query(ca, "update certificate set spiffe_id = 'spiffe://mayfly.localhost/dev/another' where serial = $1", [
    Buffer.from(serialOf(mine), "hex"),
  ]);
  evidenceRefused(t, await showAgain(held, alice, mine), "evidenceInvalid", "not what the inventory has");
  t.equal((await finalize(renewed)).status, 200);
});

t.test("a certificate that is not in the inventory, or another one of its number, renews nothing", async (t) => {
  const held = await ground();
  const { ca, alice } = held;
  const first = await firstCertificate(ca, alice);
  await query(ca, "update certificate set fingerprint = sha256('other') where spiffe_id = $1", [first.spiffeId]);
  evidenceRefused(t, await showAgain(held, alice, first), "evidenceInvalid");
  await query(ca, "delete from certificate where spiffe_id = $1", [first.spiffeId]);
  evidenceRefused(t, await showAgain(held, alice, first), "evidenceInvalid");
});

t.test(
  "expired: refused, without grace; too long since the platform's evidence: refused, and it is shown again",
  async (t) => {
    const held = await open("refuse", 1200);
    const { ca, alice, clock } = held;
    const first = await firstCertificate(ca, alice);
    const proofNow = () => {
      const iat = Math.floor((Date.now() + clock.ahead) / 1000);
      return { payload: { iat, exp: iat + 300 } };
    };
    clock.ahead = 600_000;
    const second = await renew(ca, alice, first, proofNow());
    const [times] = await query(
      ca,
      "select (select not_after from certificate where serial = $1) - (select issued_at from certificate where serial = $2) < interval '1201 seconds' as within",
      [Buffer.from(serialOf(second), "hex"), Buffer.from(serialOf(first), "hex")],
    );
    t.same(times, { within: true }, "nothing of a lineage outlives what the platform vouched for");
    clock.ahead = 901_000;
    const old = await renewalOrder(ca, alice, first.spiffeId);
    evidenceRefused(t, await show(old, proofFor(old, first, proofNow())), "evidenceExpired", "expired");
    clock.ahead = 1_145_000;
    const late = await renewalOrder(ca, alice, first.spiffeId);
    const reply = await show(late, proofFor(late, second, proofNow()));
    evidenceRefused(t, reply, "evidenceExpired", "too old");
    clock.ahead = 0;
    const anew = await firstCertificate(ca, alice, first.spiffeId.split("/").at(-1));
    t.ok(await renew(ca, alice, anew), "a new lineage");
  },
);

t.test("revoked: refused when it is shown, and when it was revoked in between", async (t) => {
  const held = await ground();
  const { ca, acme, alice } = held;
  const first = await firstCertificate(ca, alice);
  const flow = await readyRenewal(ca, alice, first);
  const [leaf] = first.chain.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/) ?? [];
  const certificate = Buffer.from((leaf ?? "").replaceAll(/-----[^-]+-----|\s/g, ""), "base64").toString("base64url");
  t.equal((await alice.post(acme.directory.revokeCert, { certificate })).status, 200);
  t.match(refused(t, await finalize(flow), 403, "badAttestationStatement"), {
    subproblems: [{ type: "urn:mayfly:workload-attest:error:evidenceInvalid" }],
  });
  t.match((await alice.postAsGet(flow.order.url)).json(), { status: "invalid", error: { detail: /revoked/ } });
  evidenceRefused(t, await showAgain(held, alice, first), "evidenceInvalid");
  t.equal(await lineageOf(ca, first), undefined, "nothing was advanced");
});

t.test("H-20a a key that is blocked, or was revoked as compromised, ends what was renewed by it too", async (t) => {
  const held = await ground();
  const { ca, acme, alice } = held;
  const block = (spki: string) =>
    ca.authority.server.inject({
      method: "POST",
      url: "/api/v1/blocked-keys",
      headers: { authorization: `Bearer ${ca.operatorToken}` },
      payload: { spkiSha256: Buffer.from(spki, "base64url").toString("hex"), note: "leaked" },
    });
  const mallory = await acme.account();
  const [leaked, stolen, other] = await Promise.all([1, 2, 3].map(() => firstCertificate(ca, alice)));
  if (!leaked || !stolen || !other) throw new Error("no certificates");
  const ready = await readyRenewal(ca, mallory, leaked);
  t.equal((await block(leaked.key.spki)).statusCode, 201);
  t.match(refused(t, await finalize(ready), 403, "badAttestationStatement"), { detail: /compromised/ });
  evidenceRefused(t, await showAgain(held, mallory, leaked), "evidenceInvalid");

  const thiefs = await renew(ca, mallory, stolen);
  const further = await readyRenewal(ca, mallory, thiefs);
  t.equal((await block(stolen.key.spki)).statusCode, 201);
  t.match(refused(t, await finalize(further), 403, "badAttestationStatement"), { detail: /compromised/ });
  evidenceRefused(
    t,
    await showAgain(held, mallory, thiefs),
    "evidenceInvalid",
    "by a key that came of the blocked one",
  );

  const next = await renew(ca, mallory, other);
  const certificate = (dersOf(other.chain)[0] ?? Buffer.alloc(0)).toString("base64url");
  t.equal((await alice.post(acme.directory.revokeCert, { certificate, reason: 1 })).status, 200);
  evidenceRefused(t, await showAgain(held, mallory, next), "evidenceInvalid", "the first one's key is compromised");

  const old = await firstCertificate(ca, alice);
  const second = await renew(ca, alice, old);
  const superseded = (dersOf(old.chain)[0] ?? Buffer.alloc(0)).toString("base64url");
  t.equal((await alice.post(acme.directory.revokeCert, { certificate: superseded, reason: 4 })).status, 200);
  t.ok(await renew(ca, alice, second), "one that was only superseded ends nothing");
});

t.test("a certificate that was renewed before: the clone is told of, refused, and its lineage ends", async (t) => {
  const held = await ground();
  const { ca, acme, alice } = held;
  const first = await firstCertificate(ca, alice);
  const thief = await acme.account();
  const second = await renew(ca, thief, first);
  const bob = await acme.account();
  evidenceRefused(t, await showAgain(held, bob, first), "instanceCloned");
  const [told] = await clonesTold(ca, first);
  t.match(told, {
    actor: /^account:/,
    detail: { shown: serialOf(first), newest: serialOf(second), policy: "refuse", identity: first.spiffeId },
  });
  const { shownBy, newestOf } = (told?.["detail"] ?? {}) as Record<string, string>;
  t.ok(bob.account.endsWith(String(shownBy)), "who showed it");
  t.ok(thief.account.endsWith(String(newestOf)), "whose the newest is");
  t.match(await lineageOf(ca, first), { clones: 1, cloned: true });
  evidenceRefused(t, await showAgain(held, thief, second), "instanceCloned", "whoever was first may be the thief");
  t.equal((await clonesTold(ca, first)).length, 1, "which is no second clone");
  t.ok(
    await renew(ca, alice, await firstCertificate(ca, alice, first.spiffeId.split("/").at(-1))),
    "the platform's evidence begins anew",
  );
});

t.test("alert: the clone is told of, and issued to", async (t) => {
  const { ca, acme, alice } = await ground("alert");
  const first = await firstCertificate(ca, alice);
  const second = await renew(ca, alice, first);
  const third = await renew(ca, await acme.account(), first);
  t.match(await clonesTold(ca, first), [
    { detail: { shown: serialOf(first), newest: serialOf(second), policy: "alert" } },
  ]);
  t.match(await lineageOf(ca, first), { newest: serialOf(third), renewals: 2, clones: 1, cloned: true });
  const fourth = await renew(ca, alice, third);
  t.match(await lineageOf(ca, first), { newest: serialOf(fourth), clones: 1 });
});

t.test("quarantine: the identity gets nothing until it is lifted", async (t) => {
  const held = await ground("quarantine");
  const { ca, acme, alice } = held;
  const first = await firstCertificate(ca, alice);
  await renew(ca, alice, first);
  const ready = await attested(ca, alice, first.spiffeId.split("/").at(-1));
  evidenceRefused(t, await showAgain(held, alice, first), "instanceCloned");
  const quarantined = { subproblems: [{ type: "urn:mayfly:error:identityQuarantined" }] };
  const csr = ready.key.csr({ uri: [first.spiffeId] });
  t.match(refused(t, await alice.post(ready.order.finalize, { csr }), 403, "unauthorized"), quarantined);
  const identifiers = [{ type: "uri", value: first.spiffeId }];
  t.match(refused(t, await alice.post(acme.directory.newOrder, { identifiers }), 403, "unauthorized"), quarantined);
  const rows = await query(ca, "select identity, created_by, lifted_at from quarantine");
  t.same(rows, [{ identity: first.spiffeId, created_by: "mayfly", lifted_at: null }]);
});

t.test("two pods of one identity are two lineages and no clone", async (t) => {
  const { ca, acme, alice } = await ground();
  const subject = randomUUID();
  const pods = await Promise.all([alice, await acme.account()].map((client) => firstCertificate(ca, client, subject)));
  for (const pod of pods) {
    const next = await renew(ca, await acme.account(), pod);
    await renew(ca, await acme.account(), next);
    t.match(await lineageOf(ca, pod), { renewals: 2, clones: 0, cloned: false });
  }
});

for (const onClone of ["refuse", "alert", "quarantine"] as const) {
  t.test(`twenty renewals of one certificate at once, ${onClone}: one wins, and the others are clones`, async (t) => {
    const { ca, acme, alice } = await ground(onClone);
    const first = await firstCertificate(ca, alice);
    const flows = [];
    for (let i = 0; i < 20; i++) flows.push(await readyRenewal(ca, await acme.account(), first));
    const replies = await Promise.all(flows.map(finalize));
    const won = flows.filter((_, i) => replies[i]?.status === 200);
    const count = onClone === "alert" ? 20 : 1;
    t.equal(won.length, count);
    if (onClone === "refuse") {
      for (const reply of replies.filter(({ status }) => status !== 200))
        t.match(refused(t, reply, 403, "badAttestationStatement"), cloned);
      for (const [i, { client, order }] of flows.entries())
        if (replies[i]?.status !== 200)
          t.match((await client.postAsGet(order.url)).json(), { status: "invalid", error: cloned });
    }
    const told = await clonesTold(ca, first);
    if (onClone !== "quarantine") t.equal(told.length, 19);
    t.ok(told.length >= 1);
    const [issuedRows] = await query(ca, "select count(*)::int as n from certificate where lineage = $1", [
      Buffer.from(serialOf(first), "hex"),
    ]);
    t.same(issuedRows, { n: count });
    const winner = won[0];
    if (onClone === "alert" || winner === undefined) return;
    const reply = replies[flows.indexOf(winner)];
    t.match(await lineageOf(ca, first), { newest: reply && serialOf(await collect(winner, reply)), renewals: 1 });
  });
}

t.test("a change of the grant behind the platform's evidence ends what was renewed on it", async (t) => {
  const { ca, alice } = await ground();
  const first = await firstCertificate(ca, alice);
  const flow = await readyRenewal(ca, alice, first);
  await query(
    ca,
    `update certificate set evidence = jsonb_set(evidence, '{0,proved,record,platform,grantVersion}', '"0000000000000000"') where spiffe_id = $1`,
    [first.spiffeId],
  );
  const again = await renewalOrder(ca, alice, first.spiffeId);
  evidenceRefused(t, await show(again, proofFor(again, first)), "identityNotDerived");
  await query(
    ca,
    `update acme_authorization set attestation = jsonb_set(attestation, '{platform,grantVersion}', '"0000000000000000"') where order_id = $1`,
    [flow.order.url.split("/").at(-1)],
  );
  refused(t, await finalize(flow), 400, "rejectedIdentifier");
});

t.test("one proof is used once", async (t) => {
  const { ca, alice } = await ground();
  const first = await firstCertificate(ca, alice);
  const flow = await renewalOrder(ca, alice, first.spiffeId);
  const proof = proofFor(flow, first);
  t.match((await show(flow, proof)).json(), { status: "valid" });
  const again = await renewalOrder(ca, alice, first.spiffeId);
  evidenceRefused(t, await show(again, proof), "bindingMismatch", "it is bound to its challenge");
});

t.test("an order that comes with its evidence goes past no lineage: renewal is refused there", async (t) => {
  const { ca, acme, alice } = await ground();
  const first = await firstCertificate(ca, alice);
  const { payload, nonce, key } = await inline(ca, acme, alice, first.spiffeId.split("/").at(-1));
  const bound = { audience: audienceOf(ca), binding: boundTo(nonce, alice.key, key) };
  const evidence = [{ format: "x509-pop", ref: "own", value: proofFor(bound, first) }];
  t.match(refused(t, await orderWith(alice, acme, { nonce, payload }, { evidence }), 400, "badAttestationStatement"), {
    subproblems: [{ type: "urn:mayfly:workload-attest:error:formatNotAccepted" }],
  });
  t.equal(await lineageOf(ca, first), undefined);
  t.ok(await renew(ca, alice, first), "the long way is open");
});
