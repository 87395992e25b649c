/**
 * Orders that came with their evidence, whose server ended between intent and record: what is settled at the next start has all that belongs to
 * the certificate, and nothing that was ended meanwhile comes to life.
 */
import { randomUUID, X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { compact, testKey } from "../attestation/testIssuer.ts";
import { acmeDriver, uri } from "../support/acmeDriver.ts";
import { audienceOf, certificateKey, idOf, query } from "../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../support/certificateAuthority.ts";
import { order } from "../support/inlineFlows.ts";
import { returning } from "../support/processFlows.ts";

t.setTimeout(120_000);

const folder = await mkdtemp(join(tmpdir(), "mayfly-interrupted-"));
t.teardown(() => rm(folder, { recursive: true }));
const [idp, cluster] = [testKey("idp"), testKey("cluster")];
const jwks = async (name: string, key: typeof idp): Promise<string> => {
  await writeFile(join(folder, name), JSON.stringify({ keys: [key.jwk] }));
  return join(folder, name);
};
const issuer = "https://kubernetes.default.svc.cluster.local";
const spiffeId = "spiffe://mayfly.localhost/ns/shop/sa/cart";
const configuration = {
  delegation: { sources: [{ ref: "idp", issuer: "https://login.example", jwksFile: await jwks("idp.json", idp) }] },
  attestation: {
    sources: [
      {
        ref: "pods",
        format: "k8s",
        issuer,
        jwksFile: await jwks("cluster.json", cluster),
        pinning: { mode: "strict" },
      },
    ],
  },
  grants: [
    {
      name: "pods",
      spiffeId: "spiffe://mayfly.localhost/ns/{namespace}/sa/{serviceAccount}",
      source: "pods",
      minBinding: "bearer",
      profile: "workload",
      onBehalfOf: ["idp"],
    },
  ],
};

const times = () => {
  const now = Math.floor(Date.now() / 1000);
  return { iat: now - 5, nbf: now - 5, exp: now + 3000 };
};
const podToken = (ca: TestAuthority, uid: string): string =>
  compact(cluster, {
    ...times(),
    iss: issuer,
    aud: [audienceOf(ca)],
    jti: randomUUID(),
    sub: "system:serviceaccount:shop:cart",
    "kubernetes.io": {
      namespace: "shop",
      pod: { name: "cart-1", uid },
      serviceaccount: { name: "cart", uid: "9c1d2e3f-1111-4222-8333-444455556666" },
    },
  });
const delegationFor = (ca: TestAuthority, txn: string): string =>
  compact(idp, {
    ...times(),
    iss: "https://login.example",
    aud: ca.configuration.audience,
    sub: "jo@example.com",
    txn,
    act: { sub: spiffeId },
  });

/** An order on a server that never gets to record its certificate; `meanwhile` happens before the next one starts on the same data. */
async function interrupted(t: Test, meanwhile: (ca: TestAuthority, task: string) => Promise<void>) {
  const ours = new Set<string>();
  const first = await certificateAuthority(t, {
    configuration,
    acme: {
      attestedOrders: (real) => ({
        ...real,
        intend(signer, attested, intent) {
          ours.add(intent.serial.toString("hex"));
          return real.intend(signer, attested, intent);
        },
      }),
    },
    ledger: (real) => ({
      ...real,
      record: async (serial, certificate) => {
        if (ours.has(serial.toString("hex"))) throw new Error("the server ends here");
        return real.record(serial, certificate);
      },
    }),
  });
  const acme = await acmeDriver(t, first);
  const alice = await acme.account();
  const [key, task, uid, nonce] = [certificateKey(), `task-${randomUUID()}`, randomUUID(), await acme.nonce()];
  const payload = {
    identifiers: [uri(spiffeId)],
    csr: key.csr({ uri: [spiffeId] }),
    evidence: [{ format: "k8s", ref: "pods", value: podToken(first, uid) }],
    delegation: delegationFor(first, task),
  };
  const reply = await order(alice, acme, { nonce, payload });
  t.match(reply.json(), { status: "processing" }, reply.text);
  t.notOk("certificateChain" in reply.json());
  await meanwhile(first, task);
  await first.close();
  const { databaseUrl, dataDir, configuration: at } = first;
  const ca = await certificateAuthority(t, { configuration, databaseUrl, dataDir, port: at.listenPort });
  const driver = await acmeDriver(t, ca);
  const again = await returning(driver, alice);
  const { status, certificate } = await again.readOrder(String(reply.headers.location));
  if (certificate === undefined) return { ca, status, serial: undefined };
  t.equal(status, "valid", "settled at the start");
  const leaf = new X509Certificate((await again.postAsGet(certificate)).text);
  t.ok(leaf.checkPrivateKey(key.privateKey));
  return { ca, status, alice: again, driver, payload, task, uid, serial: idOf(certificate) };
}

const endTask = (ca: TestAuthority, task: string) =>
  ca.authority.server.inject({
    method: "POST",
    url: "/api/v1/delegations/end",
    headers: { authorization: `Bearer ${ca.operatorToken}` },
    payload: { source: "idp", task, reason: "it is done", dryRun: false },
  });

t.test(
  "H-19 settled at the next start: delegation, pin, used evidence and the grant's word are all there",
  async (t) => {
    const made = await interrupted(t, async () => {});
    if (made.serial === undefined) return t.fail("no certificate");
    const { ca, alice, driver, payload, task, uid, serial } = made;
    const { body } = await ca.inventory(`/certificates?delegationSource=idp&task=${task}`);
    t.match(body["certificates"], { length: 1, 0: { serial } }, "found by its task");
    const [row] = await query(
      ca,
      `select evidence->0->'proved'->'record'->>'grant' as "grant", evidence->0->'proved'->'record'->>'instance' as instance,
       (select count(*)::int from evidence_use) as used from certificate where encode(serial, 'hex') = $1`,
      [serial],
    );
    t.same(row, { grant: "pods", instance: uid, used: 1 });
    const bob = await driver.account();
    for (const [client, value, reason] of [
      [bob, podToken(ca, uid), "instancePinned"],
      [alice, payload.evidence[0]?.value ?? "", "evidenceReplayed"],
    ] as const) {
      const evidence = [{ format: "k8s", ref: "pods", value }];
      const reply = await order(client, driver, { nonce: await driver.nonce(), payload: { ...payload, evidence } });
      t.match(reply.json(), { subproblems: [{ type: `urn:mayfly:workload-attest:error:${reason}` }] }, reply.text);
    }
    t.equal((await endTask(ca, task)).statusCode, 200);
    t.match((await ca.inventory(`/certificates/${serial}`)).body, { state: "revoked" }, "and ends with its task");
  },
);

t.test("a task that ended before its certificate was settled: it is revoked as it is recorded", async (t) => {
  const { ca, serial } = await interrupted(t, async (first, task) => {
    const reply = await endTask(first, task);
    t.equal(reply.statusCode, 200, reply.body);
  });
  t.match((await ca.inventory(`/certificates/${serial}`)).body, { state: "revoked", revokedBy: "operator:delegation" });
});

t.test("an identity that was put in quarantine before its certificate was settled gets none", async (t) => {
  const { ca, status, serial } = await interrupted(t, async (first) => {
    const reply = await first.authority.server.inject({
      method: "POST",
      url: "/api/v1/quarantines",
      headers: { authorization: `Bearer ${first.operatorToken}` },
      payload: { spiffeId, reason: "strange traffic" },
    });
    t.equal(reply.statusCode, 201, reply.body);
  });
  t.same([status, serial], ["invalid", undefined]);
  const [entry] = await query(ca, "select detail from audit_entry where event = 'issuance.abandoned'");
  t.match(entry, { detail: { reason: "its identity is in quarantine" } });
});
