/** Sources of evidence that are away or answer wrongly, before two servers on one database: nobody gets in, and nothing is used up. */
import { createPublicKey, randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import { compact, kubernetesMembers, testKey } from "../attestation/testIssuer.ts";
import { uri, type AcmeClient, type Reply } from "../support/acmeDriver.ts";
import { bindingOf, certificateKey } from "../support/acmeFlows.ts";
import { startKubernetesApi } from "../support/kubernetesApi.ts";
import { evidenceRefused } from "../support/refused.ts";
import { replicas } from "../support/replicas.ts";
import { closedPort, httpTarget } from "../support/validationTargets.ts";

const key = testKey("issuer-1");
const jwks = JSON.stringify({ keys: [key.jwk] });
const stale = JSON.stringify({ keys: [testKey("issuer-0").jwk] });
const sendKeys: RequestListener = (_, response) => response.end(jwks);

/** How a source's key set can be out of reach. */
const faults: Readonly<Record<string, RequestListener>> = {
  failing: (_, response) => response.writeHead(500).end(jwks),
  redirecting: (_, response) => response.writeHead(302, { location: "/good" }).end(),
  huge: (_, response) => response.end(`{"keys":[],"filler":"${"x".repeat(70_000)}"}`),
  silent: () => undefined,
  garbage: (_, response) => response.end("<html>"),
  "cut-off": (_, response) => {
    response.writeHead(200, { "content-length": "1000" }).write("{");
    setImmediate(() => response.destroy());
  },
};
const answers = new Map<string, RequestListener>(Object.entries(faults));
const requests = new Map<string, number>();
const port = await httpTarget(t, (request, response) => {
  const name = (request.url ?? "").slice(1);
  requests.set(name, (requests.get(name) ?? 0) + 1);
  (answers.get(name) ?? sendKeys)(request, response);
});

const folder = await mkdtemp(join(tmpdir(), "mayfly-sources-"));
t.teardown(() => rm(folder, { recursive: true }));
const tokenReviewTokenFile = join(folder, "token");
await writeFile(tokenReviewTokenFile, "our-own-token");
const cluster = await startKubernetesApi(t, { publicKey: createPublicKey(key.privateKey), now: () => new Date() });

const refs = [...Object.keys(faults), "nobody", "good", "rotating", "raced"];
const nobody = await closedPort();
const issuer = "https://issuer.example";
const clusterIssuer = "https://kubernetes.default.svc.cluster.local";
const sources = refs.map((ref) => ({
  ref,
  format: "jwt",
  issuer,
  jwksUrl: `http://127.0.0.1:${ref === "nobody" ? nobody : port}/${ref}`,
}));
const grantOf = (source: string, path: string) => ({
  name: source,
  spiffeId: `spiffe://mayfly.localhost/${source}/${path}`,
  source,
  minBinding: "bearer",
  profile: "workload",
});
const review = {
  ref: "cluster",
  format: "k8s",
  issuer: clusterIssuer,
  tokenReviewUrl: cluster.origin,
  tokenReviewTokenFile,
};
const [a, b] = await replicas(t, {
  configuration: {
    attestation: { sources: [...sources, review] },
    grants: [...refs.map((ref) => grantOf(ref, "{sub}")), grantOf("cluster", "{serviceAccount}")],
  },
});
const alice = await a.acme.account();
const { audience } = a.ca.configuration;

interface Flow {
  readonly ref: string;
  readonly subject: string;
  readonly boundAudience: string;
  respond(value: string, client?: AcmeClient): Promise<Reply>;
  status(): Promise<string>;
}

/** A challenge that waits for evidence of this source. */
async function waiting(ref: string, subject = randomUUID() as string, client = alice): Promise<Flow> {
  const order = await client.order({ identifiers: [uri(`spiffe://mayfly.localhost/${ref}/${subject}`)] });
  const authorization = await client.readAuthorization(order.authorizations[0]);
  const [challenge] = authorization.challenges;
  if (challenge === undefined) throw new Error("no challenge");
  const { spki } = certificateKey();
  const format = ref === "cluster" ? "k8s" : "jwt";
  return {
    ref,
    subject,
    boundAudience: `${audience}/${bindingOf(challenge, client.key, spki)}`,
    respond: (value, by = client) => by.post(challenge.url, { spki, evidence: [{ format, ref, value }] }),
    status: async () => (await client.readAuthorization(authorization.url)).status,
  };
}

const times = () => {
  const iat = Math.floor(Date.now() / 1000);
  return { iat, exp: iat + 300 };
};
const tokenFor = ({ subject, boundAudience }: Flow, signer = key, aud: string = boundAudience): string =>
  compact(signer, { iss: issuer, sub: subject, aud, jti: randomUUID(), ...times() });
const podToken = ({ subject, boundAudience }: Flow): string =>
  compact(key, {
    iss: clusterIssuer,
    aud: [boundAudience],
    sub: `system:serviceaccount:payments:${subject}`,
    jti: randomUUID(),
    ...times(),
    "kubernetes.io": { ...kubernetesMembers, serviceaccount: { name: subject, uid: randomUUID() } },
  });

const unavailable = (t: Test, reply: Reply, what: string): void => {
  t.equal(reply.status, 503, `${what}: 503`);
  t.match(reply.headers["retry-after"], /^\d+$/, `${what}: Retry-After`);
  t.notMatch(reply.text, /127\.0\.0\.1|issuer|jwks|token/, `${what}: nothing about the source`);
};

t.test(
  "WA 7 keys out of reach → 503 with Retry-After, the challenge stays pending, and the same token does later",
  async (t) => {
    const away = [...Object.keys(faults), "nobody"];
    const flows = await Promise.all(
      away.map(async (ref) => {
        const flow = await waiting(ref);
        return { flow, token: tokenFor(flow) };
      }),
    );
    await Promise.all(
      flows.map(async ({ flow, token }) => {
        unavailable(t, await flow.respond(token), flow.ref);
        t.equal(await flow.status(), "pending", flow.ref);
        // Whoever signed it, nobody can tell.
        unavailable(t, await flow.respond(tokenFor(flow, testKey(key.kid))), `${flow.ref}, forged`);
        t.equal(await flow.status(), "pending", flow.ref);
      }),
    );
    t.equal(requests.get("good") ?? 0, 0, "the redirect was not followed");
    for (const ref of away) answers.set(ref, sendKeys);
    // Five seconds of pause after a failure, when there are no keys at all.
    await sleep(5_200);
    for (const { flow, token } of flows) {
      if (flow.ref === "nobody") continue;
      t.equal((await flow.respond(token)).json()["status"], "valid", `${flow.ref}: the same challenge and token`);
    }
  },
);

t.test("WA 7 an API server that is away → 503, and the same token does later", async (t) => {
  const flow = await waiting("cluster", "checkout");
  const token = podToken(flow);
  const answering: RequestListener[] = [
    (_, response) => response.writeHead(500).end(),
    (_, response) => response.writeHead(403).end(),
    (_, response) => response.end("<html>"),
    (_, response) => response.writeHead(302, { location: "/" }).end(),
  ];
  for (const listener of answering) {
    cluster.instead = listener;
    unavailable(t, await flow.respond(token), String(listener));
    t.equal(await flow.status(), "pending");
  }
  cluster.instead = undefined;
  t.equal((await flow.respond(token)).json()["status"], "valid");
  const late = await waiting("cluster", "worker");
  cluster.deletedPods.add(kubernetesMembers.pod.uid);
  evidenceRefused(t, await late.respond(podToken(late)), "evidenceInvalid", "the pod was deleted in between");
  t.equal(await late.status(), "invalid");
});

t.test("no network call on the path of a cached source: 200 attestations, one request for each server", async (t) => {
  const aliceAtB = await b.as(alice);
  requests.delete("good");
  for (let begun = 0; begun < 200; begun += 20) {
    const flows = await Promise.all(Array.from({ length: 20 }, () => waiting("good")));
    const replies = await Promise.all(
      flows.map((flow, n) => flow.respond(tokenFor(flow), n % 2 === 0 ? alice : aliceAtB)),
    );
    t.ok(replies.every((reply) => reply.json()["status"] === "valid"));
  }
  t.equal(requests.get("good"), 2);
  const made = await Promise.all(Array.from({ length: 20 }, () => waiting("good")));
  await Promise.all(made.map((flow) => flow.respond(tokenFor(flow, testKey(randomUUID())))));
  t.ok((requests.get("good") ?? 0) <= 4, "made-up kids ask once more at most, in half a minute");
});

t.test("keys that were rotated away from what is cached: refused or 503, and never let in", async (t) => {
  answers.set("rotating", (_, response) => response.end(stale));
  const flow = await waiting("rotating");
  const reply = await flow.respond(tokenFor(flow));
  evidenceRefused(t, reply, "evidenceInvalid", "the set is fresh and has no such key");
  t.equal(await flow.status(), "invalid");
});

t.test("H-25a 100 parallel uses of one token over two servers → exactly one wins", async (t) => {
  const aliceAtB = await b.as(alice);
  const bob = await a.acme.account();
  const bobAtB = await b.as(bob);
  const subject = "worker-7";
  const flows = await Promise.all(
    Array.from({ length: 100 }, (_, n) => waiting("raced", subject, n % 2 === 0 ? alice : bob)),
  );
  const [first] = flows;
  const token = first === undefined ? "" : tokenFor(first, key, audience);
  const by = [alice, bob, aliceAtB, bobAtB];
  const replies = await Promise.all(flows.map((flow, n) => flow.respond(token, by[n % 4])));
  const valid = replies.filter((reply) => reply.json()["status"] === "valid");
  t.equal(valid.length, 1, "one is valid");
  const others = replies.filter((reply) => !valid.includes(reply));
  t.equal(others.filter(({ text }) => text.includes("evidenceReplayed")).length, 99, "the others are told why");
  const statuses = await Promise.all(flows.map((flow) => flow.status()));
  t.equal(statuses.filter((status) => status === "valid").length, 1);
  t.equal(statuses.filter((status) => status === "invalid").length, 99);
  const again = await waiting("raced", subject);
  evidenceRefused(t, await again.respond(token, aliceAtB), "evidenceReplayed", "and later, at either server");
});
