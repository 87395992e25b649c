/** RFC 9447: tkauth-01 with tkauth-type atc, for SPIFFE IDs that a configured authority vouches for. */
import { createHash, createPublicKey, X509Certificate } from "node:crypto";
import { createServer } from "node:http";
import t from "tap";
import { testKey } from "../../attestation/testIssuer.ts";
import { acmeDriver, clientKey, flattened, uri, type AcmeClient } from "../../support/acmeDriver.ts";
import { audienceOf, bindingOf, certificateKey, challengeOf, leafOf } from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { evidenceRefused, refused, tokenRefused } from "../../support/refused.ts";
import { answer, fingerprint, tokenAuthority, vouching, type TokenWishes } from "../../support/tokenAuthority.ts";
import { listen } from "../../support/validationTargets.ts";

const id = (path: string): string => `spiffe://mayfly.localhost/${path}`;

t.test("RFC 9447", async (t) => {
  const folder = t.testdir({});
  const orchestrator = await tokenAuthority(folder, "orchestrator");
  const second = await tokenAuthority(folder, "second");
  const tokenAuthorityUrl = "https://orchestrator.example/tokens";
  const grant = { source: "orchestrator", minBinding: "key", profile: "workload" };
  const away = "http://127.0.0.1:9/jwks";
  const ca = await certificateAuthority(t, {
    configuration: {
      attestation: {
        sources: [
          { ref: "orchestrator", ...orchestrator.source, tokenAuthorityUrl },
          { ref: "second", ...second.source },
          { ref: "away", format: "atc", issuer: "https://away.example", jwksUrl: away },
        ],
      },
      grants: [
        { ...grant, name: "pay", spiffeId: id("pay/{path2}"), recordClaims: ["sub", "path2"] },
        { ...grant, name: "lax", spiffeId: id("lax/{path2}"), minBinding: "bearer" },
        {
          ...grant,
          name: "strict",
          spiffeId: id("strict/{path2}"),
          allOf: [{ source: "dev", minBinding: "nonce", conditions: [{ claim: "sub", equals: "node" }] }],
        },
        { ...grant, name: "named", spiffeId: id("named/{sub}") },
        { ...grant, name: "one", spiffeId: id("two/{path2}") },
        { ...grant, name: "other", spiffeId: id("two/{path2}"), source: "second" },
        { ...grant, name: "away", spiffeId: id("away/{path2}"), source: "away" },
        { ...grant, name: "platform", spiffeId: id("both/{sub}"), source: "dev", minBinding: "nonce" },
        { ...grant, name: "both", spiffeId: id("both/{path2}") },
        {
          ...grant,
          name: "conditional",
          spiffeId: id("conditional/{path2}"),
          conditions: [{ claim: "sub", oneOf: ["scheduler-1", "scheduler-2"] }],
        },
      ],
    },
  });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const bob = await acme.account();
  const types = async (spiffeId: string): Promise<string[]> => {
    const order = await alice.newOrder(uri(spiffeId));
    return (await alice.readAuthorization(order.authorizations[0])).challenges.map(({ type }) => type).sort();
  };
  /** A token with these wishes, and what the challenge makes of it. */
  const tried = async (wishes: TokenWishes, path = "pay/checkout", client: AcmeClient = alice) => {
    const flow = await vouching(client, id(path));
    const reply = await answer(flow, orchestrator.vouch(client, flow.spiffeId, wishes));
    return { flow, reply };
  };
  const finalize = (client: AcmeClient, url: string, path: string, key = certificateKey()) =>
    client.post(url, { csr: key.csr({ uri: [id(path)] }) });

  t.test("R9447-1 the challenge, its response, and the certificate for it", async (t) => {
    const flow = await vouching(alice, id("pay/checkout"));
    const { url, token, expires, ...challenge } = flow.challenge;
    t.strictSame(challenge, {
      type: "tkauth-01",
      status: "pending",
      "tkauth-type": "atc",
      "token-authority": tokenAuthorityUrl,
    });
    t.match(token, /^[A-Za-z0-9_-]{22,}$/);
    t.ok(Date.parse(String(expires)) > Date.now());
    const vouched = orchestrator.vouch(alice, flow.spiffeId, { claims: { sub: "scheduler-1" } });
    const reply = await answer(flow, vouched);
    t.equal(reply.status, 200);
    t.match(reply.json(), { type: "tkauth-01", status: "valid", url, token, "tkauth-type": "atc" });
    t.equal((await alice.readOrder(flow.order.url)).status, "ready");
    const key = certificateKey();
    const issued = await finalize(alice, flow.order.finalize, "pay/checkout", key);
    t.equal(issued.json()["status"], "valid", issued.text);
    const chain = (await alice.postAsGet(String(issued.json()["certificate"]))).text;
    const leaf = new X509Certificate(Buffer.from(leafOf(chain), "base64url"));
    t.equal(leaf.subjectAltName, `URI:${flow.spiffeId}`);
    t.equal(leaf.publicKey.equals(createPublicKey(key.privateKey)), true);
    t.equal(leaf.ca, false);
    const { body } = await ca.inventory(`/certificates/${leaf.serialNumber.toLowerCase()}`);
    const recorded = JSON.stringify(body);
    for (const fact of ['"bindingLevel":"key"', '"grant":"pay"', '"sub":"scheduler-1"', '"path2":"checkout"'])
      t.ok(recorded.includes(fact), `the inventory has ${fact}`);
    t.notOk(recorded.includes(vouched.split(".")[2] ?? ""), "and not the token");
  });

  t.test("R9447-1 offered where a grant takes a token by itself, beside workload-attest-01", async (t) => {
    const both = ["tkauth-01", "workload-attest-01"];
    t.strictSame(await types(id("pay/x")), both);
    t.strictSame(await types(id("lax/x")), both);
    t.strictSame(await types(id("both/x")), both, "another source asks for more, by the other challenge");
    t.strictSame(await types(id("dev/x")), ["workload-attest-01"], "no authority for it");
    const flow = await vouching(alice, id("two/x"));
    t.notOk("token-authority" in flow.challenge, "two authorities, and room for one: none is told");
    t.match((await answer(flow, second.vouch(alice, flow.spiffeId))).json(), { status: "valid" }, "the second will do");
  });

  t.test("R9447-1 H-26 a grant that asks for evidence bound by nonce besides never offers tkauth-01", async (t) => {
    t.strictSame(await types(id("strict/x")), ["workload-attest-01"]);
    const order = await alice.newOrder(uri(id("strict/x")));
    const [challenge] = (await alice.readAuthorization(order.authorizations[0])).challenges;
    const tkauth = orchestrator.vouch(alice, id("strict/x"));
    const elsewhere = String(challenge?.url).replace("workload-attest-01", "tkauth-01");
    refused(t, await alice.post(elsewhere, { tkauth }), 404, "malformed");
    // And not as evidence either: by itself it is not what the grant asks for.
    const { spki } = certificateKey();
    const evidence = [{ format: "atc", ref: "orchestrator", value: tkauth }];
    evidenceRefused(t, await alice.post(String(challenge?.url), { spki, evidence }), "identityNotDerived");
    // Where a platform's token must be bound by nonce and an authority's need not, each keeps to its own.
    const mixed = await vouching(alice, id("both/x"));
    const wa = challengeOf(mixed.authorization, "workload-attest-01");
    const bearer = { format: "jwt", ref: "dev", value: await ca.devToken("x", audienceOf(ca)) };
    tokenRefused(t, await answer(mixed, bearer.value), "sourceNotConfigured", "a platform's token at the wrong door");
    t.equal((await alice.readAuthorization(mixed.authorization.url)).status, "invalid");
    const again = await vouching(alice, id("both/x"));
    const { url } = challengeOf(again.authorization, "workload-attest-01");
    t.not(url, wa.url);
    evidenceRefused(t, await alice.post(url, { spki, evidence: [bearer] }), "bindingMissing");
  });

  t.test("R9447-1 a response of another shape changes nothing", async (t) => {
    const flow = await vouching(alice, id("pay/checkout"));
    const token = orchestrator.vouch(alice, flow.spiffeId);
    const shapes = [{}, { tkauth: "" }, { tkauth: 7 }, { tkauth: null }, { tkauth: [token] }, { atc: token }];
    for (const payload of shapes)
      refused(t, await alice.post(flow.challenge.url, payload), 400, "malformed", JSON.stringify(payload).slice(0, 40));
    refused(t, await answer(flow, "x".repeat(65_537)), 400, "malformed", "larger than evidence may be");
    t.equal((await alice.readAuthorization(flow.authorization.url)).status, "pending");
    t.match((await alice.post(flow.challenge.url, { tkauth: token, atc: 7 })).json(), { status: "valid" });
    tokenRefused(t, await answer(await vouching(alice, flow.spiffeId), "x.y"), "sourceNotConfigured");
  });

  t.test("R9447-2 members that are missing or of another type", async (t) => {
    const cases: readonly (readonly [string, TokenWishes, string])[] = [
      ["no exp", { claims: { exp: undefined } }, "evidenceInvalid"],
      ["exp as text", { claims: { exp: "4102444800" } }, "evidenceInvalid"],
      ["expired", { claims: { exp: Math.floor(Date.now() / 1000) - 31 } }, "evidenceExpired"],
      ["too long", { claims: { exp: Math.floor(Date.now() / 1000) + 100_000 } }, "evidenceInvalid"],
      ["no jti", { claims: { jti: undefined } }, "evidenceInvalid"],
      ["jti as number", { claims: { jti: 7 } }, "evidenceMalformed"],
      ["no atc", { claims: { atc: undefined } }, "evidenceMalformed"],
      ["atc as list", { claims: { atc: ["uri", id("pay/checkout")] } }, "evidenceMalformed"],
      ["no tktype", { atc: { tktype: undefined } }, "evidenceMalformed"],
      ["no tkvalue", { atc: { tkvalue: undefined } }, "evidenceMalformed"],
      ["tkvalue as list", { atc: { tkvalue: [id("pay/checkout")] } }, "evidenceMalformed"],
      ["no fingerprint", { atc: { fingerprint: undefined } }, "evidenceMalformed"],
      ["ca as text", { atc: { ca: "false" } }, "evidenceMalformed"],
      ["no iss", { claims: { iss: undefined } }, "sourceNotConfigured"],
    ];
    for (const [what, wishes, reason] of cases) {
      const { flow, reply } = await tried(wishes);
      tokenRefused(t, reply, reason, what);
      t.equal((await alice.readOrder(flow.order.url)).status, "invalid", `${what}: and the order with it`);
    }
  });

  t.test("R9447-3 the fingerprint of the account key, in its one form", async (t) => {
    const right = fingerprint(alice.key.thumbprint);
    const bobs = fingerprint(bob.key.thumbprint);
    tokenRefused(t, (await tried({ atc: { fingerprint: bobs } })).reply, "bindingMismatch", "another account's");
    const forms = [right.toLowerCase(), right.replaceAll(":", ""), right.replaceAll(":", "-"), right.slice(7)];
    for (const form of [...forms, right.replace(" ", ":"), alice.key.thumbprint, `${right} `]) {
      tokenRefused(t, (await tried({ atc: { fingerprint: form } })).reply, "evidenceMalformed", form.slice(0, 24));
    }
    for (const alg of ["RS256", "EdDSA", "ES384"] as const) {
      const carol = acme.client(clientKey(alg));
      await carol.register();
      t.match((await tried({}, "pay/checkout", carol)).reply.json(), { status: "valid" }, alg);
    }
  });

  t.test("R9447-4 a jti counts once, whoever comes first, by whichever challenge", async (t) => {
    const spiffeId = id("pay/checkout");
    const token = orchestrator.vouch(alice, spiffeId);
    const flows = await Promise.all(Array.from({ length: 8 }, () => vouching(alice, spiffeId)));
    const replies = await Promise.all(flows.map((flow) => answer(flow, token)));
    const won = replies.filter((reply) => reply.json()["status"] === "valid");
    t.equal(won.length, 1, "one of eight at the same moment");
    for (const reply of replies.filter((one) => !won.includes(one))) tokenRefused(t, reply, "evidenceReplayed");

    const { jti } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as { jti: string };
    tokenRefused(t, (await tried({ claims: { jti } })).reply, "evidenceReplayed", "another token of the same id");
    const flow = await vouching(alice, spiffeId);
    const { url } = challengeOf(flow.authorization, "workload-attest-01");
    const evidence = [{ format: "atc", ref: "orchestrator", value: token }];
    evidenceRefused(t, await alice.post(url, { spki: certificateKey().spki, evidence }), "evidenceReplayed");
    const other = await vouching(alice, id("two/x"));
    t.match((await answer(other, second.vouch(alice, id("two/x"), { claims: { jti } }))).json(), { status: "valid" });
  });

  t.test("R9447-4 one challenge, many responses at once: one token is used up", async (t) => {
    const flow = await vouching(alice, id("pay/checkout"));
    const tokens = Array.from({ length: 6 }, () => orchestrator.vouch(alice, flow.spiffeId));
    const replies = await Promise.all(tokens.map((token) => answer(flow, token)));
    for (const reply of replies) t.match(reply.json(), { status: "valid" });
    const used = await Promise.all(
      tokens.map(async (token) => (await answer(await vouching(alice, flow.spiffeId), token)).json()["status"]),
    );
    t.equal(used.filter((status) => status === "invalid").length, 1);
  });

  t.test("R9447-5 only configured authorities, and nothing that a token names is fetched", async (t) => {
    let asked = 0;
    const attacker = testKey("attacker");
    const server = createServer((_, response) => {
      asked += 1;
      response.end(JSON.stringify({ keys: [attacker.jwk] }));
    });
    const url = `http://127.0.0.1:${await listen(t, server)}/keys`;
    const x5c = [Buffer.from("a certificate").toString("base64")];
    const refusedHeaders: readonly (readonly [TokenWishes, string])[] = [
      [{ key: attacker, header: { x5u: url } }, "evidenceInvalid"],
      [{ key: attacker, header: { x5c } }, "evidenceInvalid"],
      [{ key: attacker, header: { x5u: url, kid: orchestrator.key.kid } }, "evidenceInvalid"],
      [{ key: attacker, header: { jku: url } }, "evidenceInvalid"],
      [{ header: { jku: url } }, "evidenceInvalid"],
      [{ header: { jwk: attacker.jwk } }, "evidenceInvalid"],
      [{ key: attacker, claims: { iss: url } }, "sourceNotConfigured"],
      [{ key: second.key, claims: { iss: second.issuer } }, "sourceNotConfigured"],
      [{ key: second.key }, "evidenceInvalid"],
      [{ header: { alg: "HS256" } }, "evidenceInvalid"],
    ];
    for (const [wishes, reason] of refusedHeaders) {
      tokenRefused(
        t,
        (await tried(wishes)).reply,
        reason,
        JSON.stringify(wishes.header ?? wishes.claims ?? "second's key"),
      );
    }
    const { reply } = await tried({ header: { x5u: url, x5c } });
    t.match(reply.json(), { status: "valid" }, "the authority's own hint is not looked at");
    t.equal(asked, 0, "no request went out");
  });

  t.test("R9447-5 an authority whose keys are away: 503, and the challenge stays as it is", async (t) => {
    const flow = await vouching(alice, id("away/x"));
    const token = orchestrator.vouch(alice, flow.spiffeId, { claims: { iss: "https://away.example" } });
    const reply = await answer(flow, token);
    refused(t, reply, 503, "serverInternal");
    t.match(reply.headers["retry-after"], /^\d+$/);
    t.equal((await alice.readAuthorization(flow.authorization.url)).status, "pending");
  });

  t.test("R9447-6 type and value are those of the identifier", async (t) => {
    for (const tktype of ["URI", "dns", "TNAuthList"])
      tokenRefused(t, (await tried({ atc: { tktype } })).reply, "evidenceInvalid", tktype);
    for (const tkvalue of [id("pay/other"), id("pay/Checkout"), `${id("pay/checkout")}/`, id("pay"), "checkout"])
      tokenRefused(t, (await tried({ atc: { tkvalue } })).reply, "identityNotDerived", tkvalue);
  });

  t.test("R9447-6 what the authority names, a grant still has to derive", async (t) => {
    t.match((await tried({ claims: { sub: "x" } }, "named/x")).reply.json(), { status: "valid" });
    tokenRefused(t, (await tried({ claims: { sub: "y" } }, "named/x")).reply, "identityNotDerived", "another sub");
    tokenRefused(t, (await tried({}, "named/x")).reply, "identityNotDerived", "no sub");
    const conditional = (sub?: string) => tried({ claims: { sub } }, "conditional/x");
    t.match((await conditional("scheduler-2")).reply.json(), { status: "valid" });
    tokenRefused(t, (await conditional("scheduler-3")).reply, "identityNotDerived", "a condition");
    tokenRefused(t, (await conditional()).reply, "identityNotDerived", "a condition on what is absent");
    const beyond = await alice.post(acme.directory.newOrder, { identifiers: [uri(id("admin/x"))] });
    refused(t, beyond, 400, "rejectedIdentifier", "no grant lets the authority name it");
  });

  t.test("R9447-7 a token for the certificate of a CA", async (t) => {
    tokenRefused(t, (await tried({ atc: { ca: true } })).reply, "evidenceInvalid");
    t.match((await tried({ atc: { ca: undefined } })).reply.json(), { status: "valid" });
  });

  t.test("R9447-3 finalize: the account key that the token names signs it, and no later one", async (t) => {
    const carol = await acme.account();
    const { flow, reply } = await tried({}, "pay/checkout", carol);
    t.match(reply.json(), { status: "valid" });
    refused(t, await finalize(bob, flow.order.finalize, "pay/checkout"), 404, "malformed", "another account");
    const next = clientKey("EdDSA");
    const { keyChange } = acme.directory;
    const header = { alg: next.alg, jwk: next.jwk, url: keyChange };
    const inner = flattened(next, header, { account: carol.account, oldKey: carol.key.jwk });
    const old = carol.key;
    t.equal((await carol.post(keyChange, inner)).status, 200);
    carol.useKey(next);
    const late = await finalize(carol, flow.order.finalize, "pay/checkout");
    refused(t, late, 403, "unauthorized", "the account has another key");
    t.equal((await carol.readOrder(flow.order.url)).status, "ready", "and nothing changed");
    const stale = await vouching(carol, id("pay/checkout"));
    const token = orchestrator.vouch(carol, stale.spiffeId, { atc: { fingerprint: fingerprint(old.thumbprint) } });
    tokenRefused(t, await answer(stale, token), "bindingMismatch", "a token for the former key");
    const fresh = await tried({}, "pay/checkout", carol);
    t.equal((await finalize(carol, fresh.flow.order.finalize, "pay/checkout")).json()["status"], "valid");
  });

  t.test("R9447-3 a cnf fixes the key to be certified, by either challenge", async (t) => {
    const key = certificateKey();
    const { kty, crv, x, y } = createPublicKey(key.privateKey).export({ format: "jwk" });
    const jkt = createHash("sha256").update(JSON.stringify({ crv, kty, x, y })).digest("base64url");
    const wishes = { claims: { cnf: { jkt } } };
    const { flow } = await tried(wishes);
    refused(t, await finalize(alice, flow.order.finalize, "pay/checkout"), 400, "badCSR", "another key");
    t.equal((await finalize(alice, flow.order.finalize, "pay/checkout", key)).json()["status"], "valid");
    tokenRefused(t, (await tried({ claims: { cnf: { kid: "x" } } })).reply, "evidenceMalformed");

    const other = certificateKey();
    const attested = await vouching(alice, id("pay/checkout"));
    const challenge = challengeOf(attested.authorization, "workload-attest-01");
    const aud = `${audienceOf(ca)}/${bindingOf(challenge, alice.key, other.spki)}`;
    const value = orchestrator.vouch(alice, attested.spiffeId, { claims: { ...wishes.claims, aud } });
    const evidence = [{ format: "atc", ref: "orchestrator", value }];
    t.match((await alice.post(challenge.url, { spki: other.spki, evidence })).json(), { status: "valid" });
    const { finalize: url } = attested.order;
    refused(t, await finalize(alice, url, "pay/checkout", other), 400, "badCSR", "committed, and not what cnf says");
    refused(t, await finalize(alice, url, "pay/checkout", key), 400, "badCSR", "what cnf says, and not committed");
  });

  t.test("R9447-1 the same token as evidence of workload-attest-01: the committed key binds", async (t) => {
    const flow = await vouching(alice, id("pay/checkout"));
    const challenge = challengeOf(flow.authorization, "workload-attest-01");
    t.match(challenge["accept"], [{ format: "atc", ref: "orchestrator", minBinding: "key" }]);
    const key = certificateKey();
    const evidence = [{ format: "atc", ref: "orchestrator", value: orchestrator.vouch(alice, flow.spiffeId) }];
    t.match((await alice.post(challenge.url, { spki: key.spki, evidence })).json(), { status: "valid" });
    refused(t, await finalize(alice, flow.order.finalize, "pay/checkout"), 400, "badCSR", "another key");
    t.equal((await finalize(alice, flow.order.finalize, "pay/checkout", key)).json()["status"], "valid");
  });
});
