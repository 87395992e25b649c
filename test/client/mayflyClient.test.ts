import { createPublicKey, generateKeyPairSync } from "node:crypto";
import t from "tap";
import type { Evidence, EvidenceBinding } from "../../src/client/evidence.ts";
import { audience } from "../support/acmeFakeOrder.ts";
import { boundToken, ground, refusal, spiffeId, wanted } from "../support/agentGround.ts";

t.test("evidence in, certificate out, in seven requests after the directory", async (t) => {
  const { fake, client } = await ground(t);
  const steps: string[] = [];
  const issued = await client({ observe: ({ step }) => steps.push(step) }).request(wanted);

  t.strictSame(fake.requests, [
    "directory",
    "newNonce",
    "newAccount",
    "newOrder",
    "authz",
    "challenge",
    "finalize",
    "certificate",
  ]);
  t.strictSame(steps, [
    "directory",
    "newNonce",
    "newAccount",
    "newOrder",
    "authorization",
    "challenge",
    "finalize",
    "certificate",
  ]);
  t.equal(issued.leaf.subjectAltName, `URI:${spiffeId}`);
  t.equal(issued.chain.length, 2, "leaf and intermediate, not the root");
  t.equal(issued.certificatePem, issued.chain.join(""));
  t.ok(issued.leaf.checkPrivateKey(issued.privateKey));
  t.match(issued.privateKeyPem, /^-----BEGIN PRIVATE KEY-----\n/);
  t.equal(issued.serial, issued.leaf.serialNumber.toLowerCase());
  t.equal(issued.notAfter.getTime(), new Date(issued.leaf.validTo).getTime());
});

t.test("what the evidence function is told", async (t) => {
  const { fake, client } = await ground(t);
  let told: EvidenceBinding | undefined;
  await client().request({
    spiffeId,
    evidence: (binding) => {
      told = binding;
      return boundToken(binding);
    },
  });
  t.equal(told?.audience, audience);
  t.match(told?.binding, /^[A-Za-z0-9_-]{43}$/);
  t.equal(told?.boundAudience, `${audience}/${told?.binding}`);
  t.equal(told?.spiffeId, spiffeId);
  t.match(told?.token, /^[A-Za-z0-9_-]{22}$/);
  t.strictSame(told?.accept, fake.plan.accept);
});

t.test("what was asked is what is ordered and sent", async (t) => {
  const { fake, client } = await ground(t);
  const notAfter = new Date(Date.now() + 300_000);
  fake.plan.accept = [{ format: "k8s", ref: "prod", minBinding: "bearer" }];
  const evidence = [{ format: "k8s", ref: "prod", value: "a.b.c" }];
  const { leaf } = await client().request({
    spiffeId,
    evidence,
    profile: "workload",
    notAfter,
    dns: ["one.example"],
    ip: ["2001:db8::1"],
  });
  t.strictSame(fake.payloads["newOrder"], [
    {
      identifiers: [
        { type: "uri", value: spiffeId },
        { type: "dns", value: "one.example" },
        { type: "ip", value: "2001:db8::1" },
      ],
      profile: "workload",
      notAfter: notAfter.toISOString(),
    },
  ]);
  t.match(fake.payloads["challenge"], [{ spki: /^[A-Za-z0-9_-]{43}$/, evidence }]);
  t.equal(leaf.checkHost("one.example"), "one.example");
  t.equal(leaf.checkIP("2001:db8::1"), "2001:db8::1");
});

t.test("a second request keeps account, directory and nonces", async (t) => {
  const { fake, client } = await ground(t);
  const agent = client();
  const first = await agent.request(wanted);
  const before = fake.requests.length;
  const second = await agent.request(wanted);
  t.strictSame(fake.requests.slice(before), ["newOrder", "authz", "challenge", "finalize", "certificate"]);
  t.not(first.privateKeyPem, second.privateKeyPem, "each certificate has its own key");
});

t.test("requests at the same time, with an account each", async (t) => {
  const { fake, client } = await ground(t);
  const agent = client();
  const keys = Array.from({ length: 6 }, () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
  const issued = await Promise.all(keys.map((accountKey) => agent.request({ ...wanted, accountKey })));
  t.equal(new Set(issued.map(({ serial }) => serial)).size, 6);
  t.equal(fake.requests.filter((one) => one === "newAccount").length, 6);
});

for (const [kind, privateKey] of [
  ["P-384", generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey],
  ["Ed25519", generateKeyPairSync("ed25519").privateKey],
  ["RSA", generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey],
] as const) {
  t.test(`account and certificate key: ${kind}`, async (t) => {
    const { client } = await ground(t);
    const certificateKey = kind === "Ed25519" ? generateKeyPairSync("ed25519").privateKey : privateKey;
    const issued = await client({ accountKey: privateKey }).request({ ...wanted, certificateKey });
    t.ok(issued.leaf.publicKey.equals(createPublicKey(certificateKey)));
  });
}

t.test("badNonce is retried with the nonce of the refusal, three times", async (t) => {
  const { fake, client } = await ground(t);
  fake.plan.badNonces = 3;
  await client().request(wanted);
  t.equal(fake.requests.filter((one) => one === "newAccount").length, 4);
  t.equal(fake.requests.filter((one) => one === "newNonce").length, 1);
});

t.test("badNonce a fourth time is a refusal", async (t) => {
  const { fake, client } = await ground(t);
  fake.plan.badNonces = 4;
  t.match(await refusal(client().request(wanted)), { type: "urn:ietf:params:acme:error:badNonce", status: 400 });
});

t.test("a busy server is given the time it asks for", async (t) => {
  const { fake, client } = await ground(t);
  const busy = { status: 503, type: "serverInternal", detail: "come back" };
  fake.plan.refusals["directory"] = [{ ...busy, retryAfter: "0" }];
  fake.plan.refusals["newOrder"] = [
    { ...busy, retryAfter: new Date(Date.now() - 1000).toUTCString() },
    { status: 429, type: "rateLimited", detail: "too many", retryAfter: "0" },
  ];
  fake.plan.refusals["finalize"] = [busy];
  await client().request(wanted);
  t.equal(fake.requests.filter((one) => one === "newOrder").length, 3);
  t.equal(fake.requests.filter((one) => one === "finalize").length, 2, "also without Retry-After");
});

t.test("a wait that outlasts the deadline is not begun, and the server's reason is told", async (t) => {
  const { fake, client } = await ground(t);
  fake.plan.refusals["newOrder"] = [
    { status: 429, type: "rateLimited", detail: "an hour's pause", retryAfter: "3600" },
  ];
  const startedAt = Date.now();
  const problem = await refusal(client().request(wanted));
  t.equal(problem.message, "the server refused the order: an hour's pause (rateLimited)");
  t.ok(Date.now() - startedAt < 3_000);
});

t.test("processing: challenge and order are polled", async (t) => {
  const { fake, client } = await ground(t);
  fake.plan.challengeStates = ["processing"];
  fake.plan.orderProcessing = 2;
  await client().request(wanted);
  t.strictSame(fake.requests.slice(4), [
    "authz",
    "challenge",
    "authz",
    "finalize",
    "order",
    "order",
    "order",
    "certificate",
  ]);
});

t.test("still pending after a response: the evidence is shown again", async (t) => {
  const { fake, client } = await ground(t);
  fake.plan.challengeStates = ["pending", "processing", "pending"];
  await client().request(wanted);
  const responses = fake.payloads["challenge"] ?? [];
  t.equal(responses.length, 3);
  t.strictSame(responses[0], responses[2], "the same evidence: nothing about the binding has changed");
});

t.test("orderNotReady at finalize: the order decides", async (t) => {
  const { fake, client } = await ground(t);
  fake.plan.refusals["finalize"] = [{ status: 403, type: "orderNotReady", detail: "a moment" }];
  await client().request(wanted);
  t.strictSame(fake.requests.slice(-4), ["finalize", "order", "finalize", "certificate"]);
});

t.test("evidence goes with the order once a challenge has named the sources, or where they are known", async (t) => {
  const { fake, client } = await ground(t);
  fake.plan.inline = { does: true, says: true };
  const agent = client();
  await agent.request(wanted);
  t.strictSame(fake.requests.slice(-5), ["newOrder", "authz", "challenge", "finalize", "certificate"], "not known yet");
  const before = fake.requests.length;
  const { leaf } = await agent.request(wanted);
  t.strictSame(fake.requests.slice(before), ["newOrder"], "known: one request");
  t.equal(leaf.subjectAltName, `URI:${spiffeId}`);
  await agent.request({ ...wanted, inline: false });
  t.equal(fake.requests.at(-1), "certificate", "or not at all");
  await agent.request({ ...wanted, profile: "other" });
  t.equal(fake.requests.at(-1), "certificate", "of another profile nothing is known");
  await client().request({ ...wanted, accept: [{ format: "jwt", ref: "dev", minBinding: "nonce" }] });
  t.equal(fake.requests.at(-1), "newOrder", "told beforehand");
});

t.test("badNonce, and a server that is busy: the evidence is made anew for each nonce", async (t) => {
  const { fake, client } = await ground(t);
  fake.plan.inline = { does: true, says: true };
  const tokens: string[] = [];
  const accept = [{ format: "jwt", ref: "dev", minBinding: "nonce" }];
  const agent = client();
  await agent.request(wanted);
  fake.plan.badNonces = 2;
  fake.plan.refusals["newOrder"] = [{ status: 503, type: "serverInternal", detail: "busy", retryAfter: "0" }];
  await agent.request({ ...wanted, accept, evidence: (binding) => (tokens.push(binding.token), boundToken(binding)) });
  t.equal(tokens.length, 4);
  t.equal(new Set(tokens).size, 4, "each bound to a nonce of its own");
});

t.test(
  "a server that says it takes evidence with the order, and does not: its pending order is gone on with",
  async (t) => {
    const { fake, client } = await ground(t);
    fake.plan.inline = { does: false, says: true };
    await client().request({ ...wanted, accept: [{ format: "jwt", ref: "dev", minBinding: "nonce" }] });
    t.strictSame(fake.requests.slice(-5), ["newOrder", "authz", "challenge", "finalize", "certificate"]);
  },
);

t.test("an order that is still processing is waited for", async (t) => {
  const { fake, client } = await ground(t);
  fake.plan.inline = { does: true, says: true };
  fake.plan.orderProcessing = 1;
  await client().request({ ...wanted, accept: [{ format: "jwt", ref: "dev", minBinding: "nonce" }] });
  t.strictSame(fake.requests.slice(-4), ["newOrder", "order", "order", "certificate"]);
});

t.test("sources that are not what they were: the challenge is asked again, once", async (t) => {
  const { fake, client } = await ground(t);
  fake.plan.inline = { does: true, says: true };
  const agent = client();
  await agent.request(wanted);
  const outdated = {
    type: "urn:mayfly:workload-attest:error:sourceNotConfigured",
    detail: "No evidence source has this ref",
  };
  const refusal400 = { status: 400, type: "badAttestationStatement", detail: "refused", subproblems: [outdated] };
  fake.plan.refusals["newOrder"] = [refusal400];
  await agent.request(wanted);
  t.strictSame(fake.requests.slice(-6), ["newOrder", "newOrder", "authz", "challenge", "finalize", "certificate"]);
  fake.plan.refusals["newOrder"] = [{ ...refusal400, subproblems: [{ ...outdated, type: "urn:x:evidenceExpired" }] }];
  t.match(await refusal(agent.request(wanted)), { status: 400, subproblems: [{ type: "urn:x:evidenceExpired" }] });
  t.equal(fake.requests.at(-1), "newOrder", "what the evidence says is wrong is not asked twice");
});

t.test("evidence that needs an activation is bound to a challenge", async (t) => {
  const { fake, client } = await ground(t);
  fake.plan.inline = { does: true, says: true };
  let asked = 0;
  const evidence: Evidence = async (binding) => {
    asked += 1;
    if (asked === 1) await binding.activate({ ref: "dev" });
    return boundToken(binding);
  };
  await client().request({ ...wanted, evidence, accept: [{ format: "jwt", ref: "dev", minBinding: "nonce" }] });
  t.equal(asked, 2);
  t.strictSame(fake.requests.slice(-5), ["newOrder", "authz", "challenge", "finalize", "certificate"]);
});
