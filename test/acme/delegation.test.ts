/** Orders on somebody's behalf, through ACME, the inventory and the end of a task. */
import { join } from "node:path";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { randomUUID, X509Certificate } from "node:crypto";
import t from "tap";
import { compact, testKey } from "../attestation/testIssuer.ts";
import { acmeDriver, uri } from "../support/acmeDriver.ts";
import { attested, idOf, issued, query, spiffeIdOf } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { inline, order as orderWithEvidence } from "../support/inlineFlows.ts";

const folder = await mkdtemp(join(tmpdir(), "mayfly-delegation-"));
t.teardown(() => rm(folder, { recursive: true }));
const idp = testKey("idp");
const jwksFile = join(folder, "idp.json");
await writeFile(jwksFile, JSON.stringify({ keys: [idp.jwk] }));

const ca = await certificateAuthority(t, {
  configuration: {
    delegation: { sources: [{ ref: "idp", issuer: "https://login.example", jwksFile }] },
    grants: [
      {
        name: "on-behalf",
        spiffeId: "spiffe://mayfly.localhost/behalf/{sub}",
        source: "dev",
        minBinding: "bearer",
        profile: "workload",
        onBehalfOf: ["idp"],
      },
    ],
  },
});
const acme = await acmeDriver(t, ca);
const alice = await acme.account();

function delegation(spiffeId: string, claims: Record<string, unknown> = {}): string {
  const now = Math.floor(Date.now() / 1000);
  const good = { iss: "https://login.example", aud: ca.configuration.audience, iat: now, exp: now + 600 };
  return compact(idp, { ...good, sub: "jo@example.com", txn: "order-1932", act: { sub: spiffeId }, ...claims });
}

const send = (path: string, payload: object) =>
  ca.authority.server.inject({
    method: "POST",
    url: `/api/v1/delegations${path}`,
    headers: { authorization: `Bearer ${ca.operatorToken}` },
    payload,
  });
const found = async (parameters: string): Promise<string[]> => {
  const { body } = await ca.inventory(`/certificates?delegationSource=idp&${parameters}`);
  return (body["certificates"] as { serial: string }[]).map(({ serial }) => serial);
};
const serialOf = ({ certificateUrl }: { certificateUrl: string }): string => idOf(certificateUrl);

t.test("the directory says that delegations are taken", async (t) => {
  const { meta } = (await acme.request(ca.directoryUrl)).json() as { meta: Record<string, unknown> };
  t.match(meta["workloadAttestation"], { delegation: true });
});

t.test("the certificate ends with the delegation and says nothing of it; the inventory keeps pseudonyms", async (t) => {
  const subject = randomUUID();
  const token = delegation(spiffeIdOf(subject));
  const flow = await issued(ca, alice, subject, { delegation: token });
  const leaf = new X509Certificate(flow.chain);
  t.ok(leaf.validToDate.getTime() <= Date.now() + 600_000, "the profile would give 900 s and more");
  for (const secret of ["jo@example.com", "order-1932"]) {
    t.notOk(leaf.raw.includes(secret));
    const { body } = await ca.inventory(`/certificates/${serialOf(flow)}`);
    t.notOk(JSON.stringify(body).includes(secret));
  }
  t.ok((await found("task=order-1932")).includes(serialOf(flow)));
  t.ok((await found("delegator=jo%40example.com")).includes(serialOf(flow)));
  t.notOk((await found("task=order-1933")).includes(serialOf(flow)));
  const authorization = await alice.readAuthorization(flow.order.authorizations[0]);
  t.notOk("delegation" in (authorization.challenges[0] ?? {}), "the challenge does not show it");
});

t.test("a delegation may be shown again", async (t) => {
  const subject = randomUUID();
  const token = delegation(spiffeIdOf(subject));
  const [first, second] = [
    await issued(ca, alice, subject, { delegation: token }),
    await issued(ca, alice, subject, { delegation: token }),
  ];
  t.not(first.certificateUrl, second.certificateUrl);
});

t.test("what newOrder refuses, with its reason", async (t) => {
  const spiffeId = spiffeIdOf("refused");
  const order = async (value: unknown, identifiers: object[] = [uri(spiffeId)]) =>
    await alice.post(acme.directory.newOrder, { identifiers, delegation: value });
  const cases: [unknown, number, string, string?][] = [
    ["https://ca.example/delegation/1", 403, "unauthorized", "sourceNotConfigured"], // RFC 9115
    [7, 400, "malformed"],
    ["", 400, "malformed"],
    ["x".repeat(16_385), 400, "malformed"],
    [delegation("spiffe://mayfly.localhost/dev/other"), 403, "unauthorized", "identityNotDerived"],
    [delegation(spiffeId, { exp: 1 }), 403, "unauthorized", "evidenceExpired"],
    [delegation(spiffeId, { iss: "https://evil.example" }), 403, "unauthorized", "sourceNotConfigured"],
    [delegation(spiffeId, { cnf: { jkt: "A".repeat(43) } }), 403, "unauthorized", "bindingMismatch"],
    [`${delegation(spiffeId)}x`, 403, "unauthorized", "evidenceMalformed"],
  ];
  for (const [value, status, type, sub] of cases) {
    const reply = await order(value);
    t.equal(reply.status, status, reply.text);
    const body = reply.json() as { type: string; subproblems?: { type: string }[] };
    t.equal(body.type, `urn:ietf:params:acme:error:${type}`);
    if (sub !== undefined) t.equal(body.subproblems?.[0]?.type, `urn:mayfly:workload-attest:error:${sub}`);
  }
  const dns = await order(delegation(spiffeId), [{ type: "dns", value: "agent.localhost" }]);
  t.equal(dns.status, 400, "a delegation is for a workload");
});

t.test("a grant that asks for a delegation", async (t) => {
  const spiffeId = "spiffe://mayfly.localhost/behalf/agent";
  const without = await alice.post(acme.directory.newOrder, { identifiers: [uri(spiffeId)] });
  t.equal(without.status, 400, without.text);
  t.match(without.json(), { type: "urn:ietf:params:acme:error:rejectedIdentifier", detail: /needs a delegation/ });
  const pre = await alice.post(acme.directory.newAuthz, { identifier: uri(spiffeId) });
  t.equal(pre.json()["type"], "urn:ietf:params:acme:error:rejectedIdentifier");
  const order = await alice.order({ identifiers: [uri(spiffeId)], delegation: delegation(spiffeId) });
  t.equal(order.status, "pending");
});

t.test("an order with a delegation takes no authorization that was given without one", async (t) => {
  const bob = await acme.account();
  const subject = randomUUID();
  const identifier = uri(spiffeIdOf(subject));
  const plain = await attested(ca, bob, subject);
  t.ok(plain.order.authorizations[0]);
  const order = await bob.order({ identifiers: [identifier], delegation: delegation(identifier.value) });
  t.equal(order.status, "pending", "it asks for evidence of its own");
});

t.test("the end of a task: dry first, then its certificates are revoked and no more are issued", async (t) => {
  const task = `task-${randomUUID()}`;
  const subject = randomUUID();
  const token = delegation(spiffeIdOf(subject), { txn: task });
  const flow = await issued(ca, alice, subject, { delegation: token });
  const other = await issued(ca, alice, subject, { delegation: delegation(spiffeIdOf(subject), { txn: "other" }) });
  // Attested before the end and finalized after it.
  const between = await attested(ca, alice, subject, { delegation: token });

  const dry = await send("/end", { source: "idp", task, reason: "done" });
  t.same(dry.json(), { dryRun: true, kind: "task", source: "idp", certificates: 1, serials: [serialOf(flow)] });
  t.equal((await ca.inventory(`/certificates/${serialOf(flow)}`)).body["state"], "valid");
  const ended = await send("/end", { source: "idp", task, reason: "done", dryRun: false });
  t.same(ended.json(), { dryRun: false, kind: "task", source: "idp", certificates: 1, serials: [serialOf(flow)] });
  t.match((await ca.inventory(`/certificates/${serialOf(flow)}`)).body, {
    state: "revoked",
    revokedBy: "operator:delegation",
  });
  t.equal((await ca.inventory(`/certificates/${serialOf(other)}`)).body["state"], "valid", "another task's");

  const { body } = await ca.inventory("/delegations");
  t.match(body, { delegations: [{ kind: "task", source: "idp", reason: "done", pseudonym: /^[0-9a-f]{72}$/ }] });
  t.notOk(JSON.stringify(body).includes(task));

  const late = await alice.post(between.order.finalize, { csr: between.key.csr({ uri: [between.spiffeId] }) });
  t.equal(late.status, 403, late.text);
  t.equal(late.json()["type"], "urn:ietf:params:acme:error:orderNotReady");
  const again = await alice.post(acme.directory.newOrder, { identifiers: [uri(between.spiffeId)], delegation: token });
  t.equal(again.status, 403);
  t.match(again.json()["detail"], /has been ended/);

  t.equal((await send("/resume", { source: "idp", task })).statusCode, 204);
  t.equal((await send("/resume", { source: "idp", task })).statusCode, 404);
  const finished = await alice.post(between.order.finalize, { csr: between.key.csr({ uri: [between.spiffeId] }) });
  t.equal(finished.json()["status"], "valid", finished.text);
  t.equal((await ca.inventory(`/certificates/${serialOf(flow)}`)).body["state"], "revoked", "revoked stays revoked");
});

t.test("an end between signature and record: the certificate is revoked as it is recorded", async (t) => {
  const subject = randomUUID();
  const task = `task-${randomUUID()}`;
  const flow = await attested(ca, alice, subject, { delegation: delegation(spiffeIdOf(subject), { txn: task }) });
  // The end is put where another server's would fall: after the intent's statement has looked.
  await query(
    ca,
    `create function end_all() returns trigger language plpgsql as $$
     begin update delegation_subject set ended_at = now() where kind = 'task' and ended_at is null; return new; end $$;
     create trigger end_all after insert on issuance_intent for each row execute function end_all()`,
  );
  const reply = await alice.post(flow.order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) });
  await query(ca, `drop trigger end_all on issuance_intent; drop function end_all`);
  t.equal(reply.json()["status"], "valid", reply.text);
  const serial = idOf(String(reply.json()["certificate"]));
  t.match((await ca.inventory(`/certificates/${serial}`)).body, { state: "revoked", revokedBy: "operator:delegation" });
});

t.test("what the REST interface refuses", async (t) => {
  const refused = async (path: string, body: object) => (await send(path, body)).statusCode;
  t.equal(await refused("/end", { source: "nobody", task: "x", reason: "r" }), 400);
  t.equal(await refused("/end", { source: "idp", reason: "r" }), 400);
  t.equal(await refused("/end", { source: "idp", task: "x", delegator: "y", reason: "r" }), 400);
  t.equal(await refused("/end", { source: "idp", task: "x" }), 400);
  t.equal(await refused("/end", { source: "idp", task: "x", reason: "r", more: 1 }), 400);
  t.equal((await ca.inventory("/certificates?task=x")).status, 400);
  t.equal((await ca.inventory("/certificates?delegationSource=idp")).status, 400);
  t.equal((await ca.inventory("/certificates?delegationSource=nobody&task=x")).status, 400);
  t.equal(
    (await ca.authority.server.inject({ method: "POST", url: "/api/v1/delegations/end", payload: {} })).statusCode,
    401,
  );
});

t.test(
  "with its evidence the order brings its delegation too: recorded, a cap, and of no use once the task is ended",
  async (t) => {
    const subject = randomUUID();
    const token = delegation(spiffeIdOf(subject), { txn: `task-${subject}` });
    const reply = await orderWithEvidence(alice, acme, await inline(ca, acme, alice, subject), { delegation: token });
    t.equal(reply.status, 201, reply.text);
    const { certificateChain, certificate } = reply.json() as { certificateChain: string; certificate: string };
    t.ok(new X509Certificate(certificateChain).validToDate.getTime() <= Date.now() + 600_000);
    t.same(await found(`task=task-${subject}`), [idOf(certificate)]);
    const ended = await send("/end", { source: "idp", task: `task-${subject}`, reason: "done", dryRun: false });
    t.ok(ended.statusCode < 300, ended.body);
    const again = await orderWithEvidence(alice, acme, await inline(ca, acme, alice, subject), { delegation: token });
    t.equal(again.status, 403, again.text);
  },
);

t.test(
  "something was ended by a server with another pseudonym key: no order with a delegation, until the key is right",
  async (t) => {
    const spiffeId = spiffeIdOf(randomUUID());
    const ask = () =>
      alice.post(acme.directory.newOrder, {
        identifiers: [uri(spiffeId)],
        delegation: delegation(spiffeId, { txn: spiffeId }),
      });
    for (const octet of ["00", "ff"]) {
      const pseudonym = `\\x${octet.repeat(36)}`;
      await query(
        ca,
        `insert into delegation_subject (pseudonym, kind, source) values ('${pseudonym}', 'task', 'idp')`,
      );
      t.equal((await ask()).status, 201, "one that is known and not ended says nothing");
      await query(ca, `update delegation_subject set ended_at = now() where pseudonym = '${pseudonym}'`);
      const reply = await ask();
      t.equal(reply.status, 503, reply.text);
      t.ok(reply.headers["retry-after"]);
      t.ok(await alice.newOrder(uri(spiffeId)), "orders on nobody's behalf go on");
      await query(ca, `delete from delegation_subject where pseudonym = '${pseudonym}'`);
    }
    t.equal((await ask()).status, 201);
  },
);
