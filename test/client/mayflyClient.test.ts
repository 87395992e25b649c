import { createPublicKey, generateKeyPairSync } from "node:crypto";
import * as jose from "jose";
import t, { type Test } from "tap";
import { AcmeProblem } from "../../src/client/errors.ts";
import { type Evidence, type EvidenceBinding } from "../../src/client/evidence.ts";
import { type CertificateRequest, MayflyClient, type MayflyClientOptions } from "../../src/client/mayflyClient.ts";
import { type AcmeFake, startAcmeFake } from "../support/acmeFake.ts";
import { makeCa, makeLeaf, pemOf } from "../support/acmeFakeCa.ts";
import { audience } from "../support/acmeFakeOrder.ts";

const spiffeId = "spiffe://mayfly.test/agent/one";

/** A token as a nonce-bound platform would mint it. The fake reads only its audience. */
const boundToken = async ({ boundAudience }: EvidenceBinding): ReturnType<Exclude<Evidence, readonly unknown[]>> => [
  { format: "jwt", ref: "dev", value: new jose.UnsecuredJWT({}).setAudience(boundAudience).encode() },
];

const wanted: CertificateRequest = { spiffeId, evidence: boundToken };

interface Ground {
  readonly fake: AcmeFake;
  readonly client: (options?: Partial<MayflyClientOptions>) => MayflyClient;
}

async function ground(test: Test): Promise<Ground> {
  const fake = await startAcmeFake();
  test.teardown(() => fake.close());
  return {
    fake,
    client(options) {
      const client = new MayflyClient({
        directoryUrl: fake.directoryUrl,
        root: fake.rootPem,
        timeoutMs: 5_000,
        ...options,
      });
      test.teardown(() => client.close());
      return client;
    },
  };
}

/** A platform that never answers. */
const stuck = (): Promise<never> => Promise.withResolvers<never>().promise;

/** The problem that the request ended with. */
async function refusal(work: Promise<unknown>): Promise<AcmeProblem> {
  const error = await work.then(
    () => new Error("it was not refused"),
    (reason: unknown) => reason,
  );
  if (error instanceof AcmeProblem) return error;
  throw error;
}

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
    message: "no certificate within 0.3 s",
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
  await t.rejects(client({ timeoutMs: 200 }).request(wanted), { code: "timeout" }, "a server that never answers");
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
