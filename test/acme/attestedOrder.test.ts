/** newOrder with evidence and CSR beside the seven requests of RFC 8555: what the client gets and what is written down are the same. */
import { X509Certificate, randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { readCertificate } from "../../src/x509/certificate.ts";
import { kubernetesMembers } from "../attestation/testIssuer.ts";
import { acmeDriver, uri, type AcmeClient, type AcmeDriver } from "../support/acmeDriver.ts";
import { audienceOf, certificateKey, idOf, query } from "../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../support/certificateAuthority.ts";
import { inline, order } from "../support/inlineFlows.ts";
import { tokenIssuer, type TokenIssuer } from "../support/tokenIssuer.ts";

t.setTimeout(120_000); // tap's own 30 seconds are too few on a busy machine.

const spiffeId = "spiffe://mayfly.localhost/ns/payments/sa/checkout";

interface Ground {
  readonly ca: TestAuthority;
  readonly acme: AcmeDriver;
  readonly cluster: TokenIssuer;
}

async function groundFor(t: Test): Promise<Ground> {
  const cluster = await tokenIssuer(t, "https://kubernetes.default.svc.cluster.local");
  const jwksFile = join(t.testdir(), "jwks.json");
  await writeFile(jwksFile, cluster.jwks);
  const ca = await certificateAuthority(t, {
    configuration: {
      attestation: { sources: [{ ref: "prod", format: "k8s", issuer: cluster.issuer, jwksFile }] },
      grants: [
        {
          name: "pods",
          spiffeId: "spiffe://mayfly.localhost/ns/{namespace}/sa/{serviceAccount}",
          source: "prod",
          minBinding: "bearer",
          profile: "workload",
          recordClaims: ["podName", "podUid"],
        },
      ],
    },
  });
  // Events leave the outbox within a second; what was in it stays here.
  await query(ca, "create table seen_event (topic text, payload jsonb)");
  await query(
    ca,
    `create function note_event() returns trigger language plpgsql as $$ begin insert into seen_event values (new.topic, new.payload); return new; end $$`,
  );
  await query(ca, "create trigger note before insert on outbox for each row execute function note_event()");
  return { ca, acme: await acmeDriver(t, ca), cluster };
}

/** A token of another pod each time; the audience is fixed, as the kubelet's is. */
function token({ ca, cluster }: Ground): string {
  const iat = Math.floor(Date.now() / 1000);
  const pod = { name: `checkout-${randomUUID()}`, uid: randomUUID() };
  return cluster.mint({
    aud: [audienceOf(ca)],
    nbf: iat,
    exp: iat + 600,
    sub: "system:serviceaccount:payments:checkout",
    "kubernetes.io": { ...kubernetesMembers, pod },
  });
}

interface Got {
  readonly account: string;
  readonly order: Readonly<Record<string, unknown>>;
  readonly authorization: unknown;
  readonly chain: string;
}

const times = { notAfter: new Date(Math.floor(Date.now() / 1000) * 1000 + 400_000).toISOString() };

async function bySevenRequests(ground: Ground, alice: AcmeClient): Promise<Got> {
  const { url, authorizations, finalize } = await alice.order({ identifiers: [uri(spiffeId)], ...times });
  const [challenge] = (await alice.readAuthorization(authorizations[0])).challenges;
  const key = certificateKey();
  const evidence = [{ format: "k8s", ref: "prod", value: token(ground) }];
  await alice.post(challenge?.url ?? "", { spki: key.spki, evidence });
  const { certificate } = (await alice.post(finalize, { csr: key.csr({ uri: [spiffeId] }) })).json();
  const chain = (await alice.postAsGet(String(certificate))).text;
  const read = (await alice.postAsGet(url)).json();
  const authorization = (await alice.postAsGet(authorizations[0])).json();
  return { account: alice.account, order: read, authorization, chain };
}

async function byOneRequest(t: Test, ground: Ground, alice: AcmeClient): Promise<Got> {
  const { acme } = ground;
  const key = certificateKey();
  const payload = {
    identifiers: [uri(spiffeId)],
    ...times,
    csr: key.csr({ uri: [spiffeId] }),
    evidence: [{ format: "k8s", ref: "prod", value: token(ground) }],
  };
  const reply = await order(alice, acme, { nonce: await acme.nonce(), payload });
  t.equal(reply.status, 201);
  const { certificateChain, ...object } = reply.json();
  const url = String(reply.headers.location);
  const read = (await alice.postAsGet(url)).json();
  t.same(object, read, "the answer is the order, with the chain beside its members");
  t.equal(
    (await alice.postAsGet(String(read["certificate"]))).text,
    certificateChain,
    "which is also at `certificate`",
  );
  const authorization = (await alice.postAsGet((read["authorizations"] as string[])[0] ?? "")).json();
  return { account: alice.account, order: read, authorization, chain: String(certificateChain) };
}

/** What names one thing and not another of its kind: ids, serials, keys, hashes, tokens, times. */
const withoutIds = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, inner: unknown) => (inner instanceof Buffer ? inner.toString("hex") : inner))
      .replaceAll(/checkout-[0-9a-f-]{36}/g, "POD")
      .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "UUID")
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)/g, "TIME")
      .replaceAll(/(?<![0-9a-f])[0-9a-f]{18,64}(?![0-9a-f])/g, "HEX")
      .replaceAll(/(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{32,43}(?![A-Za-z0-9_-])/g, "TOKEN"),
  );

/** Everything that the database holds of an account's one certificate, by table. */
async function recordsOf({ ca }: Ground, { account, order: { certificate } }: Got): Promise<Record<string, unknown>> {
  const id = idOf(account);
  const serial = idOf(String(certificate));
  const rows = (text: string, value: string): Promise<unknown[]> =>
    query(ca, `select to_jsonb(x) - 'der' - 'id' as row from (${text}) x`, [value]);
  return {
    orders: await rows("select * from acme_order where account_id = $1::uuid", id),
    authorizations: await rows("select * from acme_authorization where account_id = $1::uuid", id),
    evidence: await rows(
      "select e.* from evidence_use e join acme_authorization z on z.id = e.authorization_id where z.account_id = $1::uuid",
      id,
    ),
    pins: await rows("select * from instance_pin where accounts[1] = $1::uuid", id),
    certificates: await rows("select * from certificate where account_id = $1::uuid", id),
    intents: await rows("select * from issuance_intent where account_id = $1::uuid", id),
    audit: await rows(
      "select * from audit_entry where subject = 'certificate:' || $1::text or actor = (select 'account:' || account_id from certificate where encode(serial, 'hex') = $1::text) order by id",
      serial,
    ),
    events: await rows("select * from seen_event where payload->>'serial' = $1", serial),
  };
}

t.test("one request and seven: order, certificate and records are equal, ids aside", async (t) => {
  const all = await groundFor(t);
  const seven = await bySevenRequests(all, await all.acme.account());
  const one = await byOneRequest(t, all, await all.acme.account());
  t.same(withoutIds(one.order), withoutIds(seven.order), "the order object (RFC 8555 §7.1.3)");
  t.same(withoutIds(one.authorization), withoutIds(seven.authorization), "the authorization object (§7.1.4)");
  const [ours, theirs] = [await recordsOf(all, one), await recordsOf(all, seven)];
  for (const [table, rows] of Object.entries(ours)) {
    t.same(withoutIds(rows), withoutIds(theirs[table]), table);
    if (table !== "intents") t.ok((rows as unknown[]).length > 0, `${table}: there are some`);
  }
  const [a, b] = [one, seven].map(({ chain }) => {
    const leaf = new X509Certificate(chain);
    const { extensions, notBefore, notAfter } = readCertificate(leaf.raw);
    return {
      names: leaf.subjectAltName,
      issuer: leaf.issuer,
      seconds: Math.abs(notAfter.getTime() - notBefore.getTime()) / 1000 > 300,
      notAfter: notAfter.toISOString(),
      extensions: extensions.map(({ oid, critical, value }) => ({ oid, critical, length: value.length })),
      above: chain.slice(chain.indexOf("-----END")),
    };
  });
  t.same(a, b, "the certificate");
  const { certificates } = (await all.ca.inventory(`/certificates?spiffeId=${encodeURIComponent(spiffeId)}`)).body;
  const [newest, oldest] = (certificates as object[]).map((entry) => ({ ...entry, pem: "" }));
  t.same(withoutIds(newest), withoutIds(oldest), "the inventory");
  const hashes = await query(all.ca, "select distinct profile_hash from certificate where spiffe_id = $1", [spiffeId]);
  t.equal(hashes.length, 1, "under one profile");
});

t.test("the order is in the account's list, and one certificate is all that it gives", async (t) => {
  const all = await groundFor(t);
  const alice = await all.acme.account();
  const one = await inline(all.ca, all.acme, alice);
  const reply = await order(alice, all.acme, one);
  const url = String(reply.headers.location);
  const { orders } = (await alice.postAsGet(alice.account)).json();
  t.same((await alice.postAsGet(String(orders))).json()["orders"], [url]);
  const again = await alice.post(String(reply.json()["finalize"]), { csr: one.payload.csr });
  t.match(again.json(), { type: "urn:ietf:params:acme:error:orderNotReady", status: 403 });
});

t.test("the database is lost between intent and record: the order is processing, and finished later", async (t) => {
  let lose = false;
  const ca = await certificateAuthority(t, {
    ledger: (real) => ({
      ...real,
      record: (serial, certificate) => (lose ? Promise.reject(new Error("lost")) : real.record(serial, certificate)),
    }),
  });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const one = await inline(ca, acme, alice);
  lose = true;
  const reply = await order(alice, acme, one);
  t.equal(reply.status, 201);
  t.match(reply.json(), { status: "processing" });
  t.notOk("certificateChain" in reply.json());
  t.match(reply.headers["retry-after"], /^\d+$/);
  lose = false;
  for (let round = 0; (await alice.readOrder(String(reply.headers.location))).status === "processing"; round++) {
    if (round > 300) throw new Error("it stays processing");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const { certificate } = await alice.readOrder(String(reply.headers.location));
  const leaf = new X509Certificate((await alice.postAsGet(certificate ?? "")).text);
  t.ok(leaf.checkPrivateKey(one.key.privateKey));
});
