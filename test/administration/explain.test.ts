import { createHash, randomUUID } from "node:crypto";
import t, { type Test } from "tap";
import { acmeDriver } from "../support/acmeDriver.ts";
import { attesting, query, respond } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { tokenIssuer } from "../support/tokenIssuer.ts";

t.setTimeout(120_000);

const id = (path: string): string => `spiffe://mayfly.localhost/${path}`;
const base = { source: "ci", minBinding: "bearer", profile: "workload" };

interface Check {
  key: string;
  holds: boolean;
  missed?: string;
  expected?: unknown;
  actual?: unknown;
  pieces?: { evidence: number; checks: Check[] }[];
}
interface Explained {
  evidence: Record<string, unknown>[];
  grants: {
    name: string;
    allows: boolean;
    attempts: { evidence: number; allows: boolean; checks: Check[] }[];
    pinning: Record<string, unknown>[];
  }[];
  notAsked: Record<string, unknown> & { grants: { name: string; why: string }[] };
  counts: { grant: string; evidence: number[] } | null;
  result: Record<string, unknown>;
  quarantine: unknown;
  at: string;
}

t.test("policy/explain", async (t) => {
  const issuer = await tokenIssuer(t, "https://ci.example");
  const node = await tokenIssuer(t, "https://node.example");
  const cluster = await tokenIssuer(t, "https://cluster.example");
  const ca = await certificateAuthority(t, {
    configuration: {
      attestation: {
        sources: [
          { ref: "ci", format: "jwt", issuer: issuer.issuer, jwksUrl: issuer.jwksUrl },
          { ref: "node", format: "jwt", issuer: node.issuer, jwksUrl: node.jwksUrl },
          { ref: "pods", format: "k8s", issuer: cluster.issuer, jwksUrl: cluster.jwksUrl },
          { ref: "gone", format: "atc", issuer: "https://gone.example", jwksUrl: "http://127.0.0.1:1/jwks" },
        ],
      },
      grants: [
        {
          ...base,
          name: "strict",
          spiffeId: id("ci/{sub}"),
          minBinding: "nonce",
          conditions: [{ claim: "env", equals: "prod" }],
        },
        { ...base, name: "plain", spiffeId: id("ci/{sub}"), maxLifetimeSeconds: 300 },
        {
          ...base,
          name: "both",
          spiffeId: id("both/{sub}"),
          allOf: [{ source: "node", minBinding: "bearer", sameAs: [{ claim: "host", as: "node" }] }],
        },
        { ...base, name: "elsewhere", spiffeId: id("elsewhere/{sub}") },
        {
          ...base,
          name: "pods",
          source: "pods",
          spiffeId: id("ns/{namespace}/sa/{serviceAccount}"),
          pinning: { mode: "strict" },
        },
        { ...base, name: "gone", source: "gone", spiffeId: id("gone/{path2}"), minBinding: "key" },
      ],
    },
  });
  const acme = await acmeDriver(t, ca);
  const { audience } = ca.configuration;
  const send = (payload: unknown, token = ca.operatorToken) =>
    ca.authority.server.inject({
      method: "POST",
      url: "/api/v1/policy/explain",
      headers: { authorization: `Bearer ${token}` },
      payload: payload as object,
    });
  async function explain(payload: object): Promise<Explained> {
    const answer = await send(payload);
    if (answer.statusCode !== 200) throw new Error(answer.body);
    return answer.json();
  }
  const jwt = (claims: object, aud: unknown = audience) => ({
    format: "jwt",
    ref: "ci",
    value: issuer.mint({ aud, ...claims }),
  });
  const checks = ({ grants }: Explained, name: string): Check[] =>
    grants.find((one) => one.name === name)?.attempts[0]?.checks ?? [];
  /** Rows of everything that a decision could leave behind. */
  const rows = () =>
    query(
      ca,
      "select (select count(*) from evidence_use)::int as uses, (select count(*) from instance_pin)::int as pins, (select count(*) from audit_entry where event not like 'certificateList.%')::int as audits, (select count(*) from outbox where topic not like 'certificateList.%')::int as events, (select count(*) from acme_order)::int as orders",
    );

  t.test("each grant with each check; which counts, and what the certificate would be", async (t) => {
    const before = await rows();
    const explained = await explain({ spiffeId: id("ci/build"), evidence: [jwt({ sub: "build", env: "dev" })] });
    t.match(explained.evidence, [
      { verified: true, ref: "ci", bindingLevel: "bearer", claims: { sub: "build", env: "dev" }, used: false },
    ]);
    t.same(
      checks(explained, "strict").map(({ key, holds }) => [key, holds]),
      [
        ["spiffeId", true],
        ["conditions[0]", false],
        ["minBinding", false],
      ],
    );
    t.match(checks(explained, "strict")[1], {
      expected: { claim: "env", equals: "prod" },
      actual: "dev",
      missed: "conditions[0] (env)",
    });
    t.match(explained.grants, [
      { name: "strict", allows: false },
      { name: "plain", allows: true },
    ]);
    t.match(explained.counts, { grant: "plain", evidence: [0] });
    t.match(explained.result, { allowed: true, profile: "workload", lifetimeSeconds: 300, maxLifetimeSeconds: 300 });
    t.match(explained.notAsked, { shape: 5, profile: 0, delegation: 0, inactive: 0 });
    t.ok(explained.notAsked.grants.some(({ name, why }) => name === "elsewhere" && why === "shape"));
    t.same(await rows(), before, "and nothing is left behind");
    t.match(
      (await explain({ spiffeId: id("ci/build"), evidence: [jwt({ sub: "build" })] })).result,
      { allowed: true },
      "nor used up",
    );
  });

  t.test("a nonce: by B, or by what it is made of", async (t) => {
    const spki = createHash("sha256").update("key").digest("base64url");
    const keyAuthorization = `token.${createHash("sha256").update("account").digest("base64url")}`;
    const binding = createHash("sha256")
      .update(`acme-workload-attest-01\0${keyAuthorization}\0`, "latin1")
      .update(Buffer.from(spki, "base64url"))
      .digest("base64url");
    const evidence = [jwt({ sub: "build", env: "prod" }, `${audience}/${binding}`)];
    for (const bound of [{ binding }, { keyAuthorization, spki }]) {
      const explained = await explain({ spiffeId: id("ci/build"), evidence, ...bound });
      t.match(explained.evidence, [{ verified: true, bindingLevel: "nonce" }]);
      t.match(explained.counts, { grant: "strict" }, "the first that allows");
    }
    const other = await explain({ spiffeId: id("ci/build"), evidence, binding: "A".repeat(43) });
    t.match(other, {
      evidence: [{ verified: false }],
      result: { allowed: false, code: "bindingMismatch" },
      counts: null,
    });
  });

  t.test("evidence of the past, at its instant", async (t) => {
    const iat = Math.floor(Date.now() / 1000) - 86_400;
    const evidence = [jwt({ sub: "build", iat, exp: iat + 300 })];
    t.match(await explain({ spiffeId: id("ci/build"), evidence }), { result: { code: "evidenceExpired" } });
    const at = new Date((iat + 10) * 1000).toISOString();
    const explained = await explain({ spiffeId: id("ci/build"), evidence, at });
    t.match(explained, { at, result: { allowed: true } });
    t.ok(String(explained.result["notAfter"]) < new Date().toISOString());
  });

  t.test("claims written down in place of evidence; nobody is fooled that they verified", async (t) => {
    const claims = [{ ref: "ci", claims: { sub: "x", node: "n1" }, bindingLevel: "bearer" }];
    const one = await explain({ spiffeId: id("both/x"), claims });
    t.match(one, {
      evidence: [{ written: true, verified: true }],
      result: { allowed: false, code: "identityNotDerived" },
    });
    t.match(checks(one, "both").at(-1), {
      key: "allOf[0]",
      holds: false,
      missed: "allOf[0]: there is no evidence of source node",
      expected: "node",
    });
    const other = (host: string) => ({ ref: "node", claims: { host }, bindingLevel: "bearer" });
    const two = await explain({ spiffeId: id("both/x"), claims: [...claims, other("n2")] });
    t.match(checks(two, "both").at(-1), {
      missed: "allOf[0]: sameAs (host as node)",
      pieces: [
        {
          evidence: 1,
          checks: [
            { key: "sameAs[0]", holds: false, expected: { value: "n1" }, actual: "n2" },
            { key: "minBinding", holds: true },
          ],
        },
      ],
    });
    const three = await explain({ spiffeId: id("both/x"), claims: [...claims, other("n1")] });
    t.match(three, { counts: { grant: "both", evidence: [0, 1] }, result: { allowed: true } });
    const nowhere = await explain({ spiffeId: id("both/x"), claims: [{ ...claims[0], ref: "nowhere" }] });
    t.match(nowhere, { evidence: [{ verified: false, code: "sourceNotConfigured" }] });
  });

  t.test("what a challenge would not look at, cannot judge or has seen already", async (t) => {
    const notTaken = await explain({
      spiffeId: id("ci/x"),
      evidence: [{ format: "jwt", ref: "node", value: node.mint({ aud: audience, sub: "x" }) }],
    });
    t.match(notTaken.result, { allowed: false, code: "formatNotAccepted" });
    const away = await explain({
      spiffeId: id("gone/x"),
      evidence: [{ format: "atc", ref: "gone", value: issuer.mint({}) }],
    });
    t.match(away.result, { allowed: false, code: "sourceUnavailable" });
    const broken = await explain({ spiffeId: id("ci/x"), evidence: [{ format: "jwt", ref: "ci", value: "x.y.z" }] });
    t.match(broken.evidence, [{ verified: false, code: "evidenceMalformed" }]);
    const alice = await acme.account();
    const flow = await attesting(ca, alice);
    const value = await ca.devToken(flow.subject, flow.boundAudience);
    const question = {
      spiffeId: flow.spiffeId,
      evidence: [{ format: "jwt", value }],
      keyAuthorization: `${flow.challenge.token}.${alice.key.thumbprint}`,
      spki: flow.key.spki,
    };
    t.match(
      await explain(question),
      { evidence: [{ ref: "dev", used: false }], result: { allowed: true } },
      "the source is the only one",
    );
    t.equal((await respond(flow, value)).json()["status"], "valid", "explaining did not use it up");
    t.match(await explain(question), {
      evidence: [{ used: true }],
      counts: { grant: "development" },
      result: { allowed: false, code: "evidenceReplayed" },
    });
  });

  t.test("pins and quarantines are read, and nothing more", async (t) => {
    const pod = cluster.mintProjected(audience, { namespace: "a", name: "b" });
    const spiffeId = id("ns/a/sa/b");
    const ask = (accountThumbprint?: string) =>
      explain({
        spiffeId,
        evidence: [{ format: "k8s", ref: "pods", value: pod }],
        ...(accountThumbprint && { accountThumbprint }),
      });
    const first = await ask();
    t.match(first, {
      evidence: [{ instance: String, pin: null }],
      grants: [{ pinning: [{ mode: "strict", allows: true }] }],
      result: { allowed: true },
    });
    const owner = createHash("sha256").update("owner").digest();
    const account = randomUUID();
    await query(
      ca,
      `insert into account (id, directory, jwk_thumbprint, jwk, contact) values ('${account}', 'default', '\\x${owner.toString("hex")}', '{}', '{}')`,
    );
    await query(
      ca,
      `insert into instance_pin (source, instance, accounts, most, once, expires_at) values ('pods', '${String(first.evidence[0]?.["instance"])}', array['${account}'::uuid], 1, false, now() + interval '1 hour')`,
    );
    t.match(
      await ask(),
      { grants: [{ pinning: [{ allows: null }] }], result: { allowed: true } },
      "whose it is was not said",
    );
    t.match(await ask(owner.toString("base64url")), {
      grants: [{ pinning: [{ allows: true }] }],
      result: { allowed: true },
    });
    t.match(await ask("A".repeat(43)), {
      grants: [{ allows: true, pinning: [{ allows: false }] }],
      result: { allowed: false, code: "instancePinned" },
    });
    t.same(
      await query(ca, "select shown::int, cardinality(accounts) as accounts from instance_pin where source = 'pods'"),
      [{ shown: 1, accounts: 1 }],
    );
    await query(
      ca,
      `insert into quarantine (identity, reason, created_by) values ('${spiffeId}', 'a test', 'operator')`,
    );
    t.match(await ask(owner.toString("base64url")), {
      quarantine: { reason: "a test" },
      result: { allowed: false, code: "identityQuarantined" },
    });
  });

  t.test("bad questions", async (t) => {
    const claims = [{ ref: "ci", claims: {}, bindingLevel: "bearer" }];
    const good = { spiffeId: id("ci/x"), claims };
    t.equal((await send(good)).statusCode, 200);
    const bad: unknown[] = [
      {},
      [],
      { spiffeId: id("ci/x") },
      { ...good, spiffeId: "spiffe://mayfly.localhost" },
      { ...good, spiffeId: "https://x" },
      { ...good, spiffeId: "" },
      { ...good, profile: "nothing" },
      { ...good, other: 1 },
      { ...good, at: "yesterday" },
      { ...good, binding: "short" },
      { ...good, spki: "A".repeat(43) },
      { ...good, keyAuthorization: `t.${"A".repeat(43)}` },
      { ...good, binding: "A".repeat(43), spki: "A".repeat(43), keyAuthorization: `t.${"A".repeat(43)}` },
      { ...good, accountThumbprint: "x" },
      { ...good, claims: [{ ref: "ci", claims: [], bindingLevel: "bearer" }] },
      { ...good, claims: [{ ref: "ci", claims: {}, bindingLevel: "none" }] },
      { ...good, claims: Array.from({ length: 5 }, () => claims[0]) },
      { ...good, evidence: [{ format: "jwt", value: "" }] },
      { ...good, evidence: [{ format: "jwt", value: "x".repeat(65_537) }] },
      { ...good, evidence: [{ format: "k8s", value: "x.y.z" }] },
      { ...good, evidence: [{ format: "jwt", ref: "ci", value: "x.y.z", endorsements: { a: 1 } }] },
      { ...good, evidence: Array.from({ length: 5 }, () => ({ format: "jwt", ref: "ci", value: "x" })) },
    ];
    for (const body of bad) await refusedAs400(t, await send(body), JSON.stringify(body).slice(0, 100));
    const unnamed = [{ format: "jwt", value: "x.y.z" }];
    for (const [spiffeId, reason] of [
      [id("never/made/by/any"), "evidence/0 needs a ref: no grant ever makes this SPIFFE ID"],
      [id("ns/a/sa/b"), "evidence/0 needs a ref: grants for this SPIFFE ID ask for k8s:pods"],
      [id("both/x"), "evidence/0 needs a ref: grants for this SPIFFE ID ask for each of jwt:ci, jwt:node"],
    ])
      t.equal((await send({ spiffeId, evidence: unnamed })).json().detail, reason);
    t.equal((await send({ ...good, spiffeId: "x".repeat(1_100_000) })).statusCode, 413);
    t.equal((await send(good, randomUUID())).statusCode, 401, "operators only");
  });
});

async function refusedAs400(
  t: Test,
  { statusCode, body }: { statusCode: number; body: string },
  message: string,
): Promise<void> {
  t.equal(statusCode, 400, `${message}: ${body.slice(0, 200)}`);
  t.match(JSON.parse(body), { type: "urn:mayfly:error:invalidRequest" });
}
