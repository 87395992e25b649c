import { generateKeyPairSync } from "node:crypto";
import * as jose from "jose";
import t from "tap";
import type { AcmeFake } from "../support/acmeFake.ts";
import { makeCa, makeLeaf, pemOf } from "../support/acmeFakeCa.ts";
import { audience } from "../support/acmeFakeOrder.ts";
import { boundToken, ground, refusal, spiffeId, stuck, wanted } from "../support/agentGround.ts";

t.test("refused evidence: the reason and the finer reason", async (t) => {
  const { client } = await ground(t);
  const value = new jose.UnsecuredJWT({}).setAudience(audience).encode();
  const problem = await refusal(client().request({ spiffeId, evidence: [{ format: "jwt", ref: "dev", value }] }));
  t.match(problem, {
    type: "urn:ietf:params:acme:error:badAttestationStatement",
    status: 400,
    subproblems: [{ type: "urn:mayfly:error:bindingMismatch", detail: "B is not in it" }],
  });
  t.equal(
    problem.message,
    "the server refused the evidence: The evidence was refused (badAttestationStatement); bindingMismatch: B is not in it",
  );
});

t.test("a challenge that turns invalid, at once or later", async (t) => {
  const expired = { status: 403, type: "badAttestationStatement", detail: "the token is expired" };
  for (const before of [[], ["processing"]] as const) {
    const { fake, client } = await ground(t);
    fake.plan.challengeStates = [...before, expired];
    const problem = await refusal(client().request(wanted));
    t.match(problem, { detail: "the token is expired", status: 403 });
  }
});

t.test("an order that turns invalid", async (t) => {
  const { fake, client } = await ground(t);
  fake.plan.orderError = { status: 403, type: "rejectedIdentifier", detail: "no longer allowed" };
  t.equal(
    (await refusal(client().request(wanted))).message,
    "the server refused the order: no longer allowed (rejectedIdentifier)",
  );
});

t.test("a server set up anew: the account is registered again by the next request", async (t) => {
  const { fake, client } = await ground(t);
  const agent = client();
  await agent.request(wanted);
  fake.plan.refusals["newOrder"] = [{ status: 400, type: "accountDoesNotExist", detail: "who?" }];
  await refusal(agent.request(wanted));
  await agent.request(wanted);
  t.equal(fake.requests.filter((one) => one === "newAccount").length, 2);
});

t.test("what is wrong with the certificate is found before it is returned", async (t) => {
  const otherRoot = await makeCa("Fake Root");
  const otherIssuing = await makeCa("Fake Issuing CA", otherRoot);
  const anotherKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({
    type: "spki",
    format: "der",
  });
  const { fake, client } = await ground(t);
  const cases: [string, NonNullable<AcmeFake["plan"]["chain"]>, RegExp][] = [
    [
      "another root",
      async (r) => pemOf(await makeLeaf({ ...r, issuer: otherIssuing }), otherIssuing.certificate),
      /does not lead to the given root/,
    ],
    [
      "another key",
      async (r) => pemOf(await makeLeaf({ ...r, publicKey: anotherKey, issuer: r.issuing }), r.issuing.certificate),
      /for another key/,
    ],
    ["no certificate", async () => "-----BEGIN NOTHING-----", /holds no PEM certificate/],
  ];
  for (const [name, chain, message] of cases) {
    fake.plan.chain = chain;
    await t.rejects(client().request(wanted), { name: "ClientError", code: "chain", message }, name);
  }
});

t.test("no such challenge, another binding, a token too short", async (t) => {
  const { fake, client } = await ground(t);
  const cases: [object, RegExp][] = [
    [{ type: "device-attest-01" }, /uri spiffe:\/\/.* cannot be attested: the server offers http-01, device-attest-01/],
    [{ binding: "wa2-sha512" }, /binding "wa2-sha512", not wa1-sha256/],
    [{ token: "short" }, /no usable token/],
    [{ audience: undefined }, /no audience/],
  ];
  for (const [challenge, message] of cases) {
    fake.plan.challenge = { ...challenge };
    await t.rejects(client().request(wanted), { name: "ClientError", message });
  }
  t.notOk(fake.payloads["challenge"], "no evidence was sent");
});

t.test("answers that no ACME server may give", async (t) => {
  const { fake, client } = await ground(t);
  const cases: [string, string, Record<string, string>, RegExp][] = [
    ["directory", "<html>", {}, /the directory is not a JSON object/],
    ["directory", "{}", {}, /no usable "newNonce"/],
    ["directory", `{"pad":"${"x".repeat(300_000)}"}`, {}, /larger than 262144 bytes/],
    [
      "directory",
      '{"newNonce":"http://localhost/n","newAccount":"http://x/a","newOrder":"http://x/o"}',
      {},
      /only https/,
    ],
    ["newNonce", "", {}, /without a Replay-Nonce/],
    ["newOrder", '{"status":"pending","finalize":"https://localhost/f"}', {}, /without a Location/],
    ["newOrder", '{"status":"fine"}', { Location: "https://localhost/o" }, /no usable "status"/],
  ];
  for (const [resource, body, headers, message] of cases) {
    fake.plan.intercept = (asked, response) => {
      if (asked !== resource) return false;
      response.writeHead(200, headers).end(body);
      return true;
    };
    await t.rejects(client().request(wanted), { name: "ClientError", code: "protocol", message });
  }
});

t.test("a refusal without a problem document, a redirect among them", async (t) => {
  const { fake, client } = await ground(t);
  for (const status of [302, 502]) {
    fake.plan.intercept = (_, response) => {
      response.writeHead(status, { Location: "https://localhost/elsewhere" }).end("<h1>proxy</h1>");
      return true;
    };
    const problem = await refusal(client().request(wanted));
    t.match(problem, { status, type: "about:blank", detail: `HTTP ${status} without a problem document` });
  }
});

t.test("connections that end: an idle one is replaced, a cut answer is an error", async (t) => {
  const { fake, client } = await ground(t);
  const agent = client();
  await agent.request(wanted);
  let cuts = 1;
  fake.plan.intercept = (_, response) => {
    if ((cuts -= 1) < 0) return false;
    response.socket?.destroy();
    return true;
  };
  await agent.request(wanted);
  t.equal(fake.requests.filter((one) => one === "newOrder").length, 3, "the cut request was sent once more");

  cuts = 2;
  await t.rejects(agent.request(wanted), {
    code: "network",
    message: /^the connection to https:\/\/localhost:\d+ failed/,
  });
});

t.test("deadline and signal end everything, the evidence function too", async (t) => {
  const { fake, client } = await ground(t);
  await t.rejects(client({ timeoutMs: 300 }).request({ spiffeId, evidence: stuck }), {
    code: "timeout",
    message: "no certificate within 0.3 s: the evidence is not there yet",
  });

  fake.plan.challengeStates = ["processing"];
  fake.plan.retryAfter = "60";
  await t.rejects(client({ timeoutMs: 1000 }).request(wanted), {
    code: "timeout",
    message: "no certificate within 1 s: the challenge is still processing",
  });

  const controller = new AbortController();
  const aborting = client().request({ spiffeId, evidence: stuck, signal: controller.signal });
  setTimeout(() => controller.abort(), 50);
  await t.rejects(aborting, { code: "aborted" });
  await t.rejects(client().request({ ...wanted, signal: AbortSignal.abort() }), { code: "aborted" });

  fake.plan.intercept = () => true;
  await t.rejects(client({ timeoutMs: 200 }).request(wanted), {
    code: "timeout",
    message: "no certificate within 0.2 s: the server does not answer",
  });
});

t.test("TLS: only the given root is trusted, unless another is named", async (t) => {
  const { fake, client } = await ground(t);
  const otherRoot = pemOf((await makeCa("Other Root")).certificate);
  await t.rejects(client({ root: otherRoot }).request(wanted), {
    code: "tls",
    message: /not trusted by the given root/,
  });
  await t.rejects(client({ root: otherRoot, tlsRoot: fake.rootPem }).request(wanted), { code: "chain" });
  await client({ tlsRoot: fake.rootPem }).request(wanted);
  const byAddress = fake.directoryUrl.replace("localhost", "127.0.0.1");
  await t.rejects(client({ directoryUrl: byAddress }).request(wanted), {
    code: "tls",
    message: /is for another name$/,
  });
  await fake.close();
  await t.rejects(client().request(wanted), {
    code: "network",
    message: /^nothing listens at https:\/\/localhost:\d+$/,
  });
});

t.test("what is refused before anything is sent", async (t) => {
  const { fake, client } = await ground(t);
  t.throws(() => client({ directoryUrl: "http://localhost/directory" }), { code: "protocol" });
  t.throws(() => client({ root: "no PEM" }), { code: "chain" });
  await t.rejects(client().request({ spiffeId: "spiffe://mayfly.test", evidence: boundToken }), {
    name: "SpiffeIdError",
  });
  await t.rejects(client({ accountKey: generateKeyPairSync("x25519").privateKey }).request(wanted), TypeError);
  t.strictSame(fake.requests, []);

  for (const evidence of [
    [],
    [{ format: "jwt", ref: "dev", value: "" }],
    [{ format: "jwt", ref: "dev", value: "x".repeat(65_537) }],
  ]) {
    await t.rejects(client().request({ spiffeId, evidence }), { name: "ClientError", code: "evidence" });
  }
  await t.rejects(client().request({ spiffeId, evidence: () => Promise.reject(new Error("no platform")) }), {
    message: "no platform",
  });
  t.notOk(fake.payloads["challenge"]);
});
