/** Grants of the database on two servers: what one of them was told holds on the other, also where it has not heard of it. */
import t from "tap";

import { uri } from "../support/acmeDriver.ts";
import { attesting, query, respond, type Attesting } from "../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../support/certificateAuthority.ts";
import { inline, order } from "../support/inlineFlows.ts";
import { refused } from "../support/refused.ts";
import { replicas } from "../support/replicas.ts";

t.setTimeout(240_000);

const [a, b] = await replicas(t);
const aliceAtA = await a.acme.account();
const alice = await b.as(aliceAtA);

const grantOf = (name: string, change: object = {}) => ({
  spiffeId: `spiffe://mayfly.localhost/${name}/{sub}`,
  source: "dev",
  minBinding: "bearer",
  profile: "workload",
  ...change,
});
const send = (
  { authority, operatorToken }: TestAuthority,
  method: "PUT" | "DELETE" | "GET",
  name: string,
  body?: object,
  headers = {},
) =>
  authority.server.inject({
    method,
    url: `/api/v1/grants/${name}`,
    headers: { authorization: `Bearer ${operatorToken}`, ...headers },
    ...(body !== undefined && { payload: body }),
  });
async function make(name: string): Promise<string> {
  const answer = await send(a.ca, "PUT", name, { grant: grantOf(name) });
  if (answer.statusCode !== 201) throw new Error(answer.body);
  await until(() => heard(name));
  return answer.json<{ version: string }>().version;
}

/** An order at B whose challenge waits. */
const orderOf = (name: string, subject = "one") =>
  attesting(b.ca, alice, subject, { identifiers: [uri(`spiffe://mayfly.localhost/${name}/${subject}`)] });
const answer = async (flow: Attesting) => respond(flow, await b.ca.devToken(flow.subject, flow.boundAudience));
const finalize = (flow: Attesting, name: string) =>
  alice.post(flow.order.finalize, {
    csr: flow.key.csr({ uri: [`spiffe://mayfly.localhost/${name}/${flow.subject}`] }),
  });

/** True when B would take an order, which it decides by what it holds in memory. */
async function heard(name: string): Promise<boolean> {
  const identifiers = [uri(`spiffe://mayfly.localhost/${name}/probe`)];
  return (await alice.post(b.acme.directory.newOrder, { identifiers })).status === 201;
}
async function until(what: () => Promise<boolean>, milliseconds = 10_000): Promise<number> {
  const start = performance.now();
  while (!(await what())) {
    if (performance.now() - start > milliseconds) throw new Error("it never came true");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return performance.now() - start;
}
/** Ends the grant so that no server hears of it: neither told nor counted. */
const endSilently = (name: string) =>
  query(
    a.ca,
    `update grant_version set ended_at = now(), ended_by = 'a test', ended_as = 'removed' where name = '${name}' and ended_at is null`,
  );

t.test("made on one server, it gives identities on the other, and says so in the certificate", async (t) => {
  const version = await make("team");
  const flow = await orderOf("team");
  t.equal((await answer(flow)).json()["status"], "valid");
  t.equal((await finalize(flow, "team")).json()["status"], "valid");
  const { body } = await b.ca.inventory("/certificates?spiffeId=spiffe://mayfly.localhost/team/one");
  t.match(body["certificates"], [{ rule: "team", ruleVersion: version }]);
});

t.test("removed on one server, an order that is attested already gets no certificate from the other", async (t) => {
  await make("removed");
  const flow = await orderOf("removed");
  t.equal((await answer(flow)).json()["status"], "valid");
  t.equal((await send(a.ca, "DELETE", "removed")).statusCode, 204);
  refused(t, await finalize(flow, "removed"), 400, "rejectedIdentifier");
  t.same(
    (await b.ca.inventory("/certificates?spiffeId=spiffe://mayfly.localhost/removed/one")).body["certificates"],
    [],
  );
});

t.test("a server that never hears of the removal refuses all the same: finalize", async (t) => {
  await make("unheard");
  const flow = await orderOf("unheard");
  t.equal((await answer(flow)).json()["status"], "valid");
  await endSilently("unheard");
  t.equal(await heard("unheard"), true, "it believes in it");
  const reply = await finalize(flow, "unheard");
  t.equal(reply.status, 403, reply.text);
  t.same(
    (await b.ca.inventory("/certificates?spiffeId=spiffe://mayfly.localhost/unheard/one")).body["certificates"],
    [],
  );
  t.same(
    await query(a.ca, "select 1 from issuance_intent where spiffe_id = 'spiffe://mayfly.localhost/unheard/one'"),
    [],
  );
});

t.test("a server that never hears of the removal refuses all the same: the challenge", async (t) => {
  await make("silent");
  const flow = await orderOf("silent");
  await endSilently("silent");
  const reply = await answer(flow);
  t.not(reply.json()["status"], "valid");
  t.equal((await alice.readAuthorization(flow.order.authorizations[0])).status, "pending");
  t.same(
    await query(
      a.ca,
      `select 1 from evidence_use where authorization_id = '${flow.authorization.url.split("/").at(-1)}'`,
    ),
    [],
    "nothing was used up",
  );
});

t.test("a server that never hears of the removal refuses all the same: an order with its evidence", async (t) => {
  await make("inlined");
  async function ask() {
    const request = await inline(b.ca, b.acme, alice, "one");
    const spiffeId = "spiffe://mayfly.localhost/inlined/one";
    const changes = { identifiers: [uri(spiffeId)], csr: request.key.csr({ uri: [spiffeId] }) };
    return order(alice, b.acme, request, changes);
  }
  const good = await ask();
  t.equal(good.json()["status"], "valid", good.text);
  await endSilently("inlined");
  const refusal = await ask();
  t.ok(refusal.status >= 400, refusal.text);
  const { body } = await b.ca.inventory("/certificates?spiffeId=spiffe://mayfly.localhost/inlined/one");
  t.equal((body["certificates"] as unknown[]).length, 1, "the first alone");
});

t.test("changed between challenge and finalize: the order fails, a new one is judged by the new text", async (t) => {
  const version = await make("changed");
  const flow = await orderOf("changed");
  t.equal((await answer(flow)).json()["status"], "valid");
  const shorter = { grant: grantOf("changed", { maxLifetimeSeconds: 120 }) };
  t.equal((await send(a.ca, "PUT", "changed", shorter, { "if-match": `"${version}"` })).statusCode, 200);
  refused(t, await finalize(flow, "changed"), 400, "rejectedIdentifier");
  await until(async () => (await send(b.ca, "GET", "changed")).json<{ version: string }>().version !== version);
  const again = await orderOf("changed", "two");
  t.equal((await answer(again)).json()["status"], "valid");
  t.equal((await finalize(again, "changed")).json()["status"], "valid");
  const { body } = await b.ca.inventory("/certificates?spiffeId=spiffe://mayfly.localhost/changed/two");
  const [certificate] = body["certificates"] as { notBefore: string; notAfter: string }[];
  t.equal((Date.parse(certificate?.notAfter ?? "") - Date.parse(certificate?.notBefore ?? "")) / 1000 + 1, 120);
});

t.test("changed between newOrder and challenge: the text of now decides", async (t) => {
  const version = await make("moved");
  const flow = await orderOf("moved");
  const elsewhere = { grant: grantOf("moved", { conditions: [{ claim: "sub", equals: "somebody else" }] }) };
  t.equal((await send(a.ca, "PUT", "moved", elsewhere, { "if-match": `"${version}"` })).statusCode, 200);
  const reply = await answer(flow);
  t.match(reply.json(), {
    status: "invalid",
    error: { subproblems: [{ type: "urn:mayfly:workload-attest:error:identityNotDerived" }] },
  });
});

t.test("nobody says that something changed → heard of within two seconds", async (t) => {
  const version = await make("polled");
  await query(
    a.ca,
    `with c as (update grant_change set count = count + 1 returning count)
     update grant_version g set ended_at = now(), ended_by = 'a test', ended_as = 'removed', change = c.count
     from c where g.name = 'polled' and g.version = '${version}' and g.ended_at is null`,
  );
  const milliseconds = await until(async () => !(await heard("polled")));
  t.ok(milliseconds < 2_000, `${milliseconds.toFixed(0)} ms`);
});

t.test("changes over both servers at once: one for each version", async (t) => {
  let version = await make("contended");
  for (let round = 0; round < 5; round++) {
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) =>
        send(
          (n % 2 === 0 ? a : b).ca,
          "PUT",
          "contended",
          { grant: grantOf("contended", { owner: `${round}-${n}` }) },
          { "if-match": `"${version}"` },
        ),
      ),
    );
    const made = answers.filter(({ statusCode }) => statusCode === 200);
    t.equal(made.length, 1);
    t.equal(answers.filter(({ statusCode }) => statusCode === 412).length, 9);
    version = made[0]?.json<{ version: string }>().version ?? "";
  }
  t.equal((await query(a.ca, "select 1 from grant_version where name = 'contended'")).length, 6);
  t.equal((await query(a.ca, "select 1 from grant_version where name = 'contended' and ended_at is null")).length, 1);
});

t.test("a change whose audit entry cannot be written is none", async (t) => {
  const version = await make("audited");
  await query(
    a.ca,
    "create function refuse() returns trigger language plpgsql as $$ begin if new.subject = 'grant:audited' then raise exception 'no'; end if; return new; end $$",
  );
  await query(a.ca, "create trigger refuse before insert on audit_entry for each row execute function refuse()");
  const changed = { grant: grantOf("audited", { owner: "x" }) };
  t.equal((await send(a.ca, "PUT", "audited", changed, { "if-match": `"${version}"` })).statusCode, 500);
  t.equal((await send(a.ca, "DELETE", "audited")).statusCode, 500);
  t.equal((await send(b.ca, "GET", "audited")).json<{ version: string }>().version, version, "as it was, on both");
  await query(a.ca, "drop trigger refuse on audit_entry");
  t.equal((await send(a.ca, "DELETE", "audited")).statusCode, 204);
});

t.test("a server that is ended and started again finds what stands", async (t) => {
  const first = await certificateAuthority(t);
  t.equal((await send(first, "PUT", "kept", { grant: grantOf("kept") })).statusCode, 201);
  t.equal((await send(first, "PUT", "gone", { grant: grantOf("gone") })).statusCode, 201);
  t.equal((await send(first, "DELETE", "gone")).statusCode, 204);
  await first.close();
  const second = await certificateAuthority(t, { dataDir: first.dataDir, databaseUrl: first.databaseUrl });
  t.match((await send(second, "GET", "kept")).json(), { state: "active" });
  t.equal((await send(second, "GET", "gone")).statusCode, 404);
});
