import { createPublicKey } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import t, { type Test } from "tap";
import { SourceUnavailable } from "../../src/attestation/evidence.ts";
import { k8sFormat, type K8sSettings } from "../../src/attestation/formats/k8s.ts";
import { checkSource } from "../../src/attestation/registry.ts";
import { createFetchBody, createPostJson } from "../../src/outbound/fetchBody.ts";
import { selfSigned } from "../support/challengeCertificate.ts";
import { startKubernetesApi, type KubernetesApiOptions } from "../support/kubernetesApi.ts";
import { closedPort, httpTarget, testOutbound } from "../support/validationTargets.ts";
import {
  boundAudience,
  compact,
  context,
  goodKubernetesClaims,
  item,
  kubernetesMembers,
  now,
  nowSeconds,
  refusal,
  testKey,
  type TestKey,
} from "./testIssuer.ts";

const issuer = "https://kubernetes.default.svc.cluster.local";
const outbound = testOutbound({});
const surroundings = {
  fetchBody: createFetchBody(outbound, "Mayfly-test/1"),
  postJson: createPostJson(outbound, "Mayfly-test/1"),
  now: () => now,
  trustDomain: "example.org",
};

/** A cluster with its API server, and a source that asks it. */
async function cluster(t: Test, more: Partial<K8sSettings> = {}, api: Partial<KubernetesApiOptions> = {}) {
  const key = testKey("cluster");
  const server = await startKubernetesApi(t, { publicKey: createPublicKey(key.privateKey), now: () => now, ...api });
  const folder = await mkdtemp(join(tmpdir(), "mayfly-review-"));
  t.teardown(() => rm(folder, { recursive: true }));
  const files = { token: join(folder, "token") };
  await writeFile(files.token, `${server.credential}\n`);
  const settings: K8sSettings = {
    ref: "prod",
    format: "k8s",
    issuer,
    tokenReviewUrl: server.origin,
    tokenReviewTokenFile: files.token,
    ...more,
  };
  checkSource(settings);
  const source = k8sFormat.open(settings, surroundings);
  const verify = (claims: Record<string, unknown> = {}, signer: TestKey = key) =>
    source.verify(item(compact(signer, goodKubernetesClaims(claims), { typ: undefined }), "k8s", "prod"), context);
  return { key, server, files, settings, verify };
}

const away = async (t: Test, verification: Promise<unknown>, message: RegExp, name = ""): Promise<void> => {
  const error: unknown = await verification.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  t.ok(error instanceof SourceUnavailable, name);
  const { message: said, cause } = error as SourceUnavailable;
  t.match(`${said}: ${cause instanceof Error ? cause.message : ""}`, message, name);
};

t.test("the cluster is asked, with our own token and the audiences that would do", async (t) => {
  const { server, verify, key } = await cluster(t);
  const evidence = await verify();
  t.match(evidence, { bindingLevel: "bearer", instance: kubernetesMembers.pod.uid, claims: { namespace: "payments" } });
  t.same(evidence.notAfterCap, new Date((nowSeconds + 3007) * 1000));
  const token = compact(key, goodKubernetesClaims(), { typ: undefined });
  t.match(server.asked, [
    {
      authorization: "Bearer our-own-token",
      body: {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenReview",
        spec: { audiences: [boundAudience, context.audience] },
      },
    },
  ]);
  const spec = server.asked[0]?.body["spec"] as { token: string } | undefined;
  t.equal(spec?.token.split(".")[1], token.split(".")[1]);
  t.equal((await verify({ aud: [boundAudience] })).bindingLevel, "nonce", "a token of TokenRequest that holds B");
});

t.test("a source's own audience is what is asked for", async (t) => {
  const { server, verify } = await cluster(t, { audience: "mayfly" });
  t.equal((await verify({ aud: ["mayfly"] })).bindingLevel, "bearer");
  t.match(server.asked[0]?.body, { spec: { audiences: [boundAudience, "mayfly"] } });
});

t.test("what the cluster does not vouch for is refused", async (t) => {
  const { server, verify } = await cluster(t);
  t.match(await refusal(verify({}, testKey("cluster"))), /^evidenceInvalid: The cluster does not vouch/, "another key");
  server.deletedPods.add(kubernetesMembers.pod.uid);
  t.match(await refusal(verify()), /^evidenceInvalid: The cluster does not vouch/, "a deleted pod");
  server.deletedPods.clear();
  t.ok(await verify());
  const changes: Record<string, Record<string, unknown>> = {
    "authenticated: false": { authenticated: false },
    "authenticated as text": { authenticated: "true" },
    "no word of it": { authenticated: undefined },
    "an error beside it": { error: "could not be checked" },
    "no audiences": { audiences: [] },
    "audiences absent": { audiences: undefined },
    "audiences that are a text": { audiences: context.audience },
    "another's audience": { audiences: ["https://other.example"] },
    "the bound audience for the fixed one": { audiences: [boundAudience] },
    "no user": { user: undefined },
  };
  for (const [name, change] of Object.entries(changes)) {
    server.changeStatus = (status) => ({ ...status, ...change });
    t.match(await refusal(verify()), /^evidenceInvalid: The cluster/, name);
  }
});

t.test("the cluster and the token name the same account, pod and node", async (t) => {
  const { server, verify } = await cluster(t);
  const key = (name: string) => `authentication.kubernetes.io/${name}`;
  const users: Record<string, Record<string, unknown>> = {
    "another account": { username: "system:serviceaccount:payments:other" },
    "another namespace": { username: "system:serviceaccount:other:checkout" },
    "a person": { username: "alice" },
    "no name": { username: undefined },
    "another UID of the account": { uid: "11111111-1111-4222-8333-444455556666" },
  };
  const extras: Record<string, Record<string, unknown>> = {
    "another pod": { [key("pod-uid")]: ["11111111-52a5-4f0e-a3f9-6f8a1d2b3c04"] },
    "another pod's name": { [key("pod-name")]: ["other"] },
    "no pod": { [key("pod-uid")]: undefined },
    "two pods": { [key("pod-uid")]: [kubernetesMembers.pod.uid, "other"] },
    "a pod that is no list": { [key("pod-uid")]: kubernetesMembers.pod.uid },
    "another node": { [key("node-name")]: ["node-2.example"] },
    "another node's UID": { [key("node-uid")]: ["11111111-6f1b-4f7c-8f6d-2a9d0c4c1e01"] },
  };
  const refuses = async (name: string, change: (user: Record<string, object>) => object) => {
    server.changeStatus = (status) => ({ ...status, user: change(status["user"] as Record<string, object>) });
    t.match(await refusal(verify()), /^evidenceInvalid: The cluster/, name);
  };
  for (const [name, change] of Object.entries(users)) await refuses(name, (user) => ({ ...user, ...change }));
  for (const [name, change] of Object.entries(extras))
    await refuses(name, (user) => ({ ...user, extra: { ...user["extra"], ...change } }));
  server.changeStatus = (status) => {
    const user = status["user"] as { extra: Record<string, unknown> };
    return {
      ...status,
      user: { ...user, extra: { ...user.extra, [key("node-name")]: undefined, [key("node-uid")]: undefined } },
    };
  };
  t.ok(await verify(), "older clusters name no node");
});

t.test("what can be refused here is not asked about", async (t) => {
  const { server, verify } = await cluster(t);
  const bad = [
    { exp: nowSeconds - 60 },
    { iss: "https://other.example" },
    { aud: ["https://kubernetes.default.svc"] },
    { aud: [context.audience, "https://other.example"] },
    { aud: `${context.audience}/${"C".repeat(43)}` },
    { "kubernetes.io": { ...kubernetesMembers, pod: undefined } },
    { sub: "system:serviceaccount:payments:other" },
  ];
  for (const claims of bad)
    t.match(await refusal(verify(claims)), /^(evidence|bindingMismatch)/, JSON.stringify(claims));
  t.equal(server.asked.length, 0);
});

t.test("with keys as well, the signature is verified here first", async (t) => {
  const folder = t.testdir({});
  const jwksFile = join(folder, "jwks.json");
  const key = testKey("cluster");
  await writeFile(jwksFile, JSON.stringify({ keys: [key.jwk] }));
  const { server, verify } = await cluster(t, { jwksFile }, { publicKey: createPublicKey(key.privateKey) });
  t.match(await refusal(verify({}, testKey("cluster"))), /^evidenceInvalid: .*signature/);
  t.equal(server.asked.length, 0, "and nobody was asked");
  t.ok(await verify({}, key));
  server.deletedPods.add(kubernetesMembers.pod.uid);
  t.match(await refusal(verify({}, key)), /^evidenceInvalid: The cluster does not vouch/);
});

t.test("an API server that is away, slow or strange lets nobody in and is our own trouble", async (t) => {
  const { server, verify, key } = await cluster(t);
  const review = (status: object) =>
    JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", status });
  const good = review({ authenticated: true });
  const answers: Record<string, [listener: RequestListener, message: RegExp]> = {
    "500": [(_, response) => response.writeHead(500).end(good), /answers with status 500/],
    "429": [(_, response) => response.writeHead(429).end(), /status 429/],
    "404": [(_, response) => response.writeHead(404).end(good), /status 404/],
    "a redirect": [(_, response) => response.writeHead(307, { location: "/elsewhere" }).end(good), /redirects/],
    "no JSON": [(_, response) => response.writeHead(201).end("<html>"), /no JSON/],
    "an array": [(_, response) => response.writeHead(201).end("[]"), /no JSON/],
    empty: [(_, response) => response.writeHead(201).end(), /no JSON/],
    "a member twice": [(_, response) => response.writeHead(201).end(good.replace("{", '{"status":{},')), /no JSON/],
    "no status": [(_, response) => response.writeHead(201).end(good.replace('"status"', '"state"')), /no TokenReview/],
    "another kind": [
      (_, response) => response.writeHead(201).end(good.replace("TokenReview", "Pod")),
      /no TokenReview/,
    ],
    "another version": [(_, response) => response.writeHead(201).end(good.replace("v1", "v1beta1")), /no TokenReview/],
    "too large": [
      (_, response) => response.writeHead(201).end(`${" ".repeat(65_536)}${good}`),
      /more than 65536 bytes/,
    ],
    compressed: [
      (_, response) => response.writeHead(201, { "content-encoding": "gzip" }).end(gzipSync(good)),
      /compressed/,
    ],
    "cut off": [
      (_, response) => {
        response.writeHead(201, { "content-length": "500" }).write("{");
        setImmediate(() => response.destroy());
      },
      /reading the answer failed/,
    ],
  };
  for (const [name, [listener, message]] of Object.entries(answers)) {
    server.instead = listener;
    await away(t, verify(), message, name);
  }
  server.instead = undefined;
  t.ok(await verify(), "and well again");
  const nobody = await cluster(t, { tokenReviewUrl: `http://127.0.0.1:${await closedPort()}` });
  await away(t, nobody.verify({}, key), /connection refused/);
});

t.test("slow", { timeout: 20_000 }, async (t) => {
  const { server, verify } = await cluster(t);
  server.instead = () => undefined;
  await away(t, verify(), /no complete answer within 5000 ms/);
});

t.test("our own token refused: the operator reads that it is ours", async (t) => {
  const { server, verify } = await cluster(t);
  server.credential = "another";
  await away(t, verify(), /^the API server of source prod refuses our own token with status 401/);
  server.instead = (_, response) => response.writeHead(403).end("{}");
  await away(t, verify(), /refuses our own token with status 403/);
});

t.test("our own token is read again when the kubelet has renewed it", async (t) => {
  const { server, files, verify } = await cluster(t);
  t.ok(await verify());
  server.credential = "renewed";
  await away(t, verify(), /status 401/);
  await writeFile(files.token, "renewed");
  t.ok(await verify());
  for (const text of ["", "two\nlines", "a\r\nX-Forged: 1", "x".repeat(16_385), "é"]) {
    await writeFile(files.token, text);
    await away(t, verify(), /does not hold a token/, JSON.stringify(text.slice(0, 20)));
  }
  await rm(files.token);
  await away(t, verify(), /ENOENT/);
});

t.test("our own token goes to the configured origin alone", async (t) => {
  const seen: (string | undefined)[] = [];
  const elsewhere = await httpTarget(t, (request, response) => {
    seen.push(request.headers.authorization);
    response.end();
  });
  const { server, verify } = await cluster(t);
  for (const status of [301, 302, 303, 307, 308]) {
    server.instead = (_, response) =>
      response.writeHead(status, { location: `http://127.0.0.1:${elsewhere}/apis` }).end();
    await away(t, verify(), /redirects/, String(status));
  }
  t.strictSame(seen, []);
});

t.test("TLS: the API server is verified by tokenReviewCaFile", async (t) => {
  const tls = selfSigned({ ip: ["127.0.0.1"] });
  const folder = t.testdir({ "ca.pem": tls.cert, "other.pem": selfSigned({ ip: ["127.0.0.1"] }).cert, "no.pem": "x" });
  const good = await cluster(t, { tokenReviewCaFile: join(folder, "ca.pem") }, { tls });
  t.ok(await good.verify());
  const wrong = await cluster(t, { tokenReviewCaFile: join(folder, "other.pem") }, { tls });
  await away(t, wrong.verify(), /not trusted/);
  t.equal(wrong.server.asked.length, 0, "nothing was asked");
  await t.rejects(cluster(t, { tokenReviewCaFile: join(folder, "no.pem") }, { tls }), /no PEM certificate/);
});

t.test("at most 32 questions at once", async (t) => {
  const { server, verify } = await cluster(t);
  const waiting: (() => void)[] = [];
  server.instead = (_, response) => void waiting.push(() => response.writeHead(500).end());
  const asked = Array.from({ length: 32 }, () => verify().catch((error: unknown) => error));
  await away(t, verify(), /has 32 questions of ours/);
  server.instead = (_, response) => response.writeHead(500).end();
  const release = setInterval(() => waiting.splice(0).forEach((answer) => answer()), 10);
  await Promise.all(asked);
  clearInterval(release);
  server.instead = undefined;
  t.ok(await verify(), "and the places are free again");
});

t.test("two clusters with one issuer: each is asked about its own tokens", async (t) => {
  const [east, west] = [await cluster(t), await cluster(t)];
  t.ok(await east.verify());
  t.ok(await west.verify());
  t.match(await refusal(east.verify({}, west.key)), /^evidenceInvalid: The cluster does not vouch/);
  t.match(await refusal(west.verify({}, east.key)), /^evidenceInvalid: The cluster does not vouch/);
});

t.test("settings", async (t) => {
  const { settings } = await cluster(t);
  const refused = (change: Partial<K8sSettings>, message: RegExp) =>
    t.throws(() => checkSource({ ...settings, ...change }), { message }, JSON.stringify(change));
  const origins = [
    "https://api.example/",
    "https://api.example/apis",
    "https://api.example?x",
    "https://API.example",
    "https://api.example:443",
    "http://api.example",
    "https://user:hunter2@api.example",
    "api.example",
  ];
  for (const tokenReviewUrl of origins) refused({ tokenReviewUrl }, /^(?!.*hunter2)sources\.prod\.tokenReviewUrl: /);
  const without = (...names: string[]) =>
    Object.fromEntries(Object.entries(settings).filter(([name]) => !names.includes(name))) as unknown as K8sSettings;
  t.throws(() => checkSource(without("tokenReviewTokenFile")), /tokenReviewTokenFile: nothing: expected the file/);
  t.throws(() => checkSource(without("tokenReviewUrl")), /tokenReviewTokenFile: .*none without tokenReviewUrl/);
  t.throws(() => checkSource(without("tokenReviewUrl", "tokenReviewTokenFile")), /neither jwksFile nor jwksUrl/);
  const onlyCa = { ...without("tokenReviewUrl", "tokenReviewTokenFile"), jwksFile: "/k", tokenReviewCaFile: "/ca" };
  t.throws(() => checkSource(onlyCa), /tokenReviewCaFile: .*none without tokenReviewUrl/);
  t.throws(() => k8sFormat.open({ ...settings, tokenReviewTokenFile: "/none" }, surroundings), /ENOENT/);
  const { postJson: _, ...fetching } = surroundings;
  t.throws(() => k8sFormat.open(settings, fetching), /nothing may be asked here/);
});
