/** Authority tokens (RFC 9447) that are crafted, and states of the database that no client can bring about (H-25, H-26). */
import { randomUUID } from "node:crypto";
import t from "tap";
import { compact } from "../attestation/testIssuer.ts";
import { acmeDriver, base64url, type AcmeClient } from "../support/acmeDriver.ts";
import { certificateKey, idOf, query } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { refused, tokenRefused } from "../support/refused.ts";
import { answer, tokenAuthority, vouching, type Vouching } from "../support/tokenAuthority.ts";

const spiffeId = "spiffe://mayfly.localhost/pay/checkout";

t.test("authority tokens", async (t) => {
  const orchestrator = await tokenAuthority(t.testdir({}), "orchestrator");
  const ca = await certificateAuthority(t, {
    configuration: {
      attestation: { sources: [{ ref: "orchestrator", ...orchestrator.source }] },
      grants: [
        {
          name: "pay",
          spiffeId: "spiffe://mayfly.localhost/pay/{path2}",
          source: "orchestrator",
          minBinding: "key",
          profile: "workload",
        },
      ],
    },
  });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const finalize = ({ order }: Vouching, key = certificateKey(), client: AcmeClient = alice) =>
    client.post(order.finalize, { csr: key.csr({ uri: [spiffeId] }) });

  t.test("H-25b tokens that are no tokens", async (t) => {
    const good = orchestrator.vouch(alice, spiffeId);
    const [header = "", payload = "", signature = ""] = good.split(".");
    const claims = Buffer.from(payload, "base64url").toString();
    const signed = (text: string) => compact(orchestrator.key, text);
    const nested = `{"iss":"${orchestrator.issuer}","x":${"[".repeat(40)}${"]".repeat(40)}}`;
    const cases: readonly (readonly [string, string, string])[] = [
      ["another signature", `${header}.${payload}.${base64url(Buffer.alloc(64, 1))}`, "evidenceInvalid"],
      ["no signature", `${header}.${payload}.`, "evidenceMalformed"],
      ["padding", `${header}.${payload}.${signature}==`, "evidenceMalformed"],
      [
        "another value under the signature",
        good.replace(payload, base64url(claims.replace("checkout", "checkin"))),
        "evidenceInvalid",
      ],
      ["a member twice", signed(claims.replace("{", `{"exp":4102444800,`)), "sourceNotConfigured"],
      ["atc with a member twice", signed(claims.replace('"ca":false', '"ca":false,"ca":true')), "sourceNotConfigured"],
      ["nested deeply", signed(nested), "sourceNotConfigured"],
      [
        "larger than a token may be",
        signed(claims.replace("{", `{"x":"${"x".repeat(20_000)}",`)),
        "sourceNotConfigured",
      ],
      ["an empty header", `${base64url("{}")}.${payload}.${signature}`, "evidenceInvalid"],
      ["JSON in place of a compact JWS", JSON.stringify({ header, payload, signature }), "sourceNotConfigured"],
    ];
    for (const [what, token, reason] of cases)
      tokenRefused(t, await answer(await vouching(alice, spiffeId), token), reason, what);
  });

  t.test("H-25a a token seen on its way is worth nothing to another account", async (t) => {
    const bob = await acme.account();
    const token = orchestrator.vouch(alice, spiffeId);
    tokenRefused(t, await answer(await vouching(bob, spiffeId), token), "bindingMismatch");
    const flow = await vouching(alice, spiffeId);
    refused(t, await bob.post(flow.challenge.url, { tkauth: token }), 404, "malformed", "another account's challenge");
    t.match((await answer(flow, token)).json(), { status: "valid" }, "and bob's try used nothing up");
  });

  t.test("H-26 finalize trusts no more than what the proof left, whatever else the database says", async (t) => {
    const key = certificateKey();
    const thumbprint = alice.key.thumbprint;
    const states: readonly (readonly [string, string | null, object | null, number, string])[] = [
      ["a token, and no record", "tkauth-01", null, 403, "unauthorized"],
      ["a token, and a committed key only", "tkauth-01", { spki: key.spki }, 403, "unauthorized"],
      ["a token for another key", "tkauth-01", { accountKey: key.spki }, 403, "unauthorized"],
      ["evidence, and an account key only", "workload-attest-01", { accountKey: thumbprint }, 400, "badCSR"],
      ["no valid challenge", null, { accountKey: thumbprint, spki: key.spki }, 400, "badCSR"],
      ["http-01", "http-01", { accountKey: thumbprint, spki: key.spki }, 400, "badCSR"],
      ["a grant that is not there", "tkauth-01", { accountKey: thumbprint, grant: "x" }, 400, "rejectedIdentifier"],
    ];
    for (const [what, valid, attestation, status, type] of states) {
      const flow = await vouching(alice, spiffeId);
      const challenges = JSON.stringify(valid === null ? [] : [{ type: valid, token: "x", status: "valid" }]);
      const values = [idOf(flow.authorization.url), challenges, JSON.stringify(attestation)];
      await query(
        ca,
        "update acme_authorization set status = 'valid', challenges = $2, attestation = nullif($3::jsonb, 'null') where id = $1",
        values,
      );
      await query(ca, "update acme_order set status = 'ready', authorizations_pending = 0 where id = $1", [
        idOf(flow.order.url),
      ]);
      refused(t, await finalize(flow, key), status, type, what);
    }
  });

  t.test(
    "H-26 a failed token ends the authorization for workload-attest-01 too, and the other way round",
    async (t) => {
      const failed = await vouching(alice, spiffeId);
      tokenRefused(t, await answer(failed, "x"), "sourceNotConfigured");
      const value = orchestrator.vouch(alice, spiffeId);
      const wa = failed.challenge.url.replace("tkauth-01", "workload-attest-01");
      const { spki } = certificateKey();
      const late = await alice.post(wa, { spki, evidence: [{ format: "atc", ref: "orchestrator", value }] });
      t.not(late.json()["status"], "valid");
      refused(t, await finalize(failed), 403, "orderNotReady");

      const proved = await vouching(alice, spiffeId);
      t.match((await answer(proved, value)).json(), { status: "valid" });
      const again = await alice.post(proved.challenge.url.replace("tkauth-01", "workload-attest-01"), {
        spki,
        evidence: [{ format: "atc", ref: "orchestrator", value: orchestrator.vouch(alice, spiffeId) }],
      });
      t.match(again.json(), { status: "pending" }, "the authorization is valid: this challenge stays as it is");
      t.equal((await finalize(proved)).json()["status"], "valid");
    },
  );

  t.test("both challenges of one authorization at the same moment: one of them moves it", async (t) => {
    for (let round = 0; round < 5; round += 1) {
      const flow = await vouching(alice, spiffeId);
      const key = certificateKey();
      const token = orchestrator.vouch(alice, spiffeId, { claims: { jti: randomUUID() } });
      const value = orchestrator.vouch(alice, spiffeId);
      const [byToken, byEvidence] = await Promise.all([
        answer(flow, token),
        alice.post(flow.challenge.url.replace("tkauth-01", "workload-attest-01"), {
          spki: key.spki,
          evidence: [{ format: "atc", ref: "orchestrator", value }],
        }),
      ]);
      const statuses = [byToken, byEvidence].map((reply) => String(reply.json()["status"])).sort();
      t.strictSame(statuses, ["pending", "valid"]);
      const committed = byEvidence.json()["status"] === "valid";
      if (committed) refused(t, await finalize(flow), 400, "badCSR", "the committed key holds");
      t.equal((await finalize(flow, committed ? key : certificateKey())).json()["status"], "valid");
    }
  });

  t.test("a pre-authorization by token, taken up by an order", async (t) => {
    const authorization = await alice.newAuthz({ type: "uri", value: spiffeId });
    const challenge = authorization.challenges.find(({ type }) => type === "tkauth-01");
    const reply = await alice.post(String(challenge?.url), { tkauth: orchestrator.vouch(alice, spiffeId) });
    t.match(reply.json(), { status: "valid" }, reply.text);
    const order = await alice.newOrder({ type: "uri", value: spiffeId });
    t.equal(order.authorizations[0], authorization.url);
    t.equal(order.status, "ready");
    const csr = certificateKey().csr({ uri: [spiffeId] });
    t.equal((await alice.post(order.finalize, { csr })).json()["status"], "valid");
  });
});
