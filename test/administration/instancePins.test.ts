/** Pins through ACME, on two servers, and as operators see them. */
import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import t from "tap";
import { commands } from "../../src/cli/commands.ts";
import { compact, testKey, type TestKey } from "../attestation/testIssuer.ts";
import { clientKey, flattened, uri, type AcmeClient } from "../support/acmeDriver.ts";
import { audienceOf, certificateKey, query } from "../support/acmeFlows.ts";
import { runWords } from "../support/commandLine.ts";
import { evidenceRefused } from "../support/refused.ts";
import { replicas } from "../support/replicas.ts";
import type { TestAuthority } from "../support/certificateAuthority.ts";

const issuer = "https://kubernetes.default.svc.cluster.local";
const spiffeId = "spiffe://mayfly.localhost/ns/shop/sa/cart";

/** A projected token of a pod. */
function podToken(key: TestKey, audience: string, uid: string): string {
  const now = Math.floor(Date.now() / 1000);
  return compact(key, {
    iss: issuer,
    aud: [audience],
    iat: now - 5,
    nbf: now - 5,
    exp: now + 3000,
    jti: randomUUID(),
    sub: "system:serviceaccount:shop:cart",
    "kubernetes.io": {
      namespace: "shop",
      pod: { name: "cart-1", uid },
      serviceaccount: { name: "cart", uid: "9c1d2e3f-1111-4222-8333-444455556666" },
    },
  });
}

async function show(ca: TestAuthority, key: TestKey, client: AcmeClient, uid: string) {
  const order = await client.newOrder(uri(spiffeId));
  const [challenge] = (await client.readAuthorization(order.authorizations[0])).challenges;
  const evidence = [{ format: "k8s", ref: "pods", value: podToken(key, audienceOf(ca), uid) }];
  return await client.post(challenge?.url ?? "", { spki: certificateKey().spki, evidence });
}

t.test("instance pins", async (t) => {
  const key = testKey("cluster");
  const jwksFile = `${t.testdir()}/jwks.json`;
  await writeFile(jwksFile, JSON.stringify({ keys: [key.jwk] }));
  const [one, two] = await replicas(t, {
    configuration: {
      attestation: {
        sources: [{ ref: "pods", format: "k8s", issuer, jwksFile, pinning: { mode: "count", accounts: 3 } }],
      },
      grants: [
        {
          name: "pods",
          spiffeId: "spiffe://mayfly.localhost/ns/{namespace}/sa/{serviceAccount}",
          source: "pods",
          minBinding: "bearer",
          profile: "workload",
        },
      ],
    },
  });
  const { ca } = one;
  const send = (method: "GET" | "DELETE", query_: string, token = ca.operatorToken) =>
    ca.authority.server.inject({
      method,
      url: `/api/v1/instance-pins${query_}`,
      headers: { authorization: `Bearer ${token}` },
    });

  t.test("fifty accounts on two servers show one pod at once: three have it", async (t) => {
    const uid = randomUUID();
    const clients = await Promise.all(Array.from({ length: 50 }, (_, i) => (i % 2 ? one : two).acme.account()));
    const replies = await Promise.all(clients.map((client) => show(ca, key, client, uid)));
    const valid = replies.filter((reply) => reply.json()["status"] === "valid");
    t.equal(valid.length, 3);
    for (const reply of replies) if (!valid.includes(reply)) evidenceRefused(t, reply, "instancePinned");

    const list = (await send("GET", `?source=pods&instance=${uid}&shared=true`)).json<{ instancePins: object[] }>();
    t.match(list.instancePins, [
      { source: "pods", instance: uid, mode: "count", most: 3, accounts: { length: 3 }, shown: 3 },
    ]);
    const shared = await query(
      ca,
      "select 1 from audit_entry where event = 'instance.shared' and detail->>'instance' = $1",
      [uid],
    );
    t.equal(shared.length, 2, "told of the second and the third");
  });

  t.test("mayfly pins list and release", async (t) => {
    const uid = randomUUID();
    t.match((await show(ca, key, await one.acme.account(), uid)).json(), { status: "valid" });
    const env = { MAYFLY_DATA_DIR: ca.dataDir, MAYFLY_EXTERNAL_URL: ca.url };
    const mayfly = (...words: string[]) => runWords(commands, ["pins", ...words], { env });
    t.match((await mayfly("list")).stdout, new RegExp(`^pods +count +1 +\\S+Z +${uid}$`, "m"));
    t.notMatch((await mayfly("list", "--shared")).stdout, uid);
    t.match(JSON.parse((await mayfly("list", "--instance", uid, "--json")).stdout), { instance: uid });
    const release = ["release", "--source", "pods", "--instance", uid];
    t.strictSame(await mayfly(...release), { status: 0, stdout: `Released: ${uid}.\n`, stderr: "" });
    t.match(await mayfly(...release), { status: 1, stderr: /belongs to no account/ });
    t.match(await mayfly("release", "--source", "pods"), { status: 2, stderr: /--instance/ });
    const audit = await query(ca, "select actor, subject, detail from audit_entry where event = 'instance.released'");
    t.same(audit, [{ actor: "operator", subject: "instance:pods", detail: { instance: uid, accounts: 1 } }]);
  });

  t.test("pages and bad requests", async (t) => {
    for (let i = 0; i < 3; i++) await show(ca, key, await one.acme.account(), randomUUID());
    const seen: string[] = [];
    for (let cursor: string | undefined = ""; cursor !== undefined;) {
      const page: { instancePins: { instance: string }[]; next?: string } = (
        await send("GET", `?limit=1${cursor === "" ? "" : `&cursor=${cursor}`}`)
      ).json();
      seen.push(...page.instancePins.map(({ instance }) => instance));
      cursor = page.next;
    }
    t.equal(seen.length, 4);
    t.same(seen, [...new Set(seen)].sort());
    for (const bad of [
      "?cursor=e30",
      "?cursor=WzEsMl0",
      "?cursor=WyJhIiwiXHUwMDAwIl0",
      "?limit=0",
      "?shared=yes",
      "?source=",
      "?x=1",
    ])
      t.equal((await send("GET", bad)).statusCode, 400, bad);
    for (const bad of ["", "?source=pods", "?instance=a"]) t.equal((await send("DELETE", bad)).statusCode, 400, bad);
    t.equal((await send("DELETE", "?source=pods&instance=nobody")).statusCode, 404);
    t.equal((await send("GET", "", "x")).statusCode, 401);
    t.equal((await send("DELETE", "?source=pods&instance=nobody", "x")).statusCode, 401);
  });

  t.test("an account that changes its key keeps its pod, and whoever has the old key does not get it", async (t) => {
    const uid = randomUUID();
    const alice = await one.acme.account();
    t.match((await show(ca, key, alice, uid)).json(), { status: "valid" });
    const [old, next] = [alice.key, clientKey()];
    const { keyChange } = one.acme.directory;
    const inner = flattened(
      next,
      { alg: next.alg, jwk: next.jwk, url: keyChange },
      { account: alice.account, oldKey: old.jwk },
    );
    t.equal((await alice.post(keyChange, inner)).status, 200);
    alice.useKey(next);
    t.match((await show(ca, key, alice, uid)).json(), { status: "valid" });
    const read = async () =>
      (await send("GET", `?source=pods&instance=${uid}`)).json<{ instancePins: { accounts: string[] }[] }>();
    t.same((await read()).instancePins[0]?.accounts, [next.thumbprint], "it is one account, with the key of now");
    for (let i = 0; i < 2; i++)
      t.match((await show(ca, key, await one.acme.account(), uid)).json(), { status: "valid" }, "as many as may");
    const thief = two.acme.client(old);
    t.equal((await thief.register()).status, 201, "the old key is nobody's any more");
    evidenceRefused(t, await show(ca, key, thief, uid), "instancePinned");
    t.match((await show(ca, key, alice, uid)).json(), { status: "valid" });
    t.equal((await alice.post(alice.account, { status: "deactivated" })).status, 200);
    evidenceRefused(t, await show(ca, key, await two.acme.account(), uid), "instancePinned");
  });
});
