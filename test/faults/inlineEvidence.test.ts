/** Orders that come with their evidence: killed at every point, on two servers, and where the answer is lost. */
import { X509Certificate, randomUUID } from "node:crypto";
import { join } from "node:path";
import t, { type Test } from "tap";

import { openDevIssuer } from "../../src/development/devIssuer.ts";
import { acmeDriver, uri, type AcmeClient, type AcmeDriver } from "../support/acmeDriver.ts";
import { audienceOf, certificateKey, idOf, spiffeIdOf, type CertificateKey } from "../support/acmeFlows.ts";
import { crashServer, signedLine, type CrashPoint } from "../support/crashServer.ts";
import { boundTo, inline, order } from "../support/inlineFlows.ts";
import { askDatabase, returning } from "../support/processFlows.ts";
import { refused } from "../support/refused.ts";
import { replicas } from "../support/replicas.ts";
import { serverPlace, startServer } from "../support/serverProcess.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few for real processes on a busy machine.

const place = await serverPlace(t);

interface Asked {
  readonly spiffeId: string;
  readonly key: CertificateKey;
  readonly nonce: string;
  readonly payload: object;
}

async function asked(driver: AcmeDriver, alice: AcmeClient, subject: string = randomUUID()): Promise<Asked> {
  const key = certificateKey();
  const nonce = await driver.nonce();
  const spiffeId = spiffeIdOf(subject);
  const issuer = await openDevIssuer(join(place.dataDir, "dev-issuer.jwk"));
  const audience = `${place.url}/wa/${boundTo(nonce, alice.key, key)}`;
  const value = await issuer.mint({ subject, audience, issuer: `${place.url}/dev`, now: new Date() });
  const evidence = [{ format: "jwt", ref: "dev", value }];
  return {
    spiffeId,
    key,
    nonce,
    payload: { identifiers: [uri(spiffeId)], csr: key.csr({ uri: [spiffeId] }), evidence },
  };
}

interface Crashed {
  readonly alice: AcmeClient;
  readonly one: Asked;
  /** DER of the certificate that was signed before the end, if one was. */
  readonly signed: Buffer | undefined;
}

async function crash(t: Test, point: CrashPoint): Promise<Crashed> {
  const server = await startServer(t, place, { command: [crashServer], env: { MAYFLY_CRASH_AT: point } });
  const driver = await acmeDriver(t, server);
  const alice = await driver.account();
  const one = await asked(driver, alice);
  const { nonce, payload } = one;
  await t.rejects(alice.post(driver.directory.newOrder, payload, { header: { nonce } }), "the client gets no answer");
  t.equal(await server.ended, null, "the server was killed");
  const [, hex] = signedLine.exec(server.printed.stdout) ?? [];
  return { alice, one, signed: hex === undefined ? undefined : Buffer.from(hex, "hex") };
}

/** What the database holds of the account, in a line. */
async function traces({ account }: AcmeClient): Promise<string> {
  const [row] = await askDatabase<{ line: string }>(
    place,
    `select concat_ws(' · ', coalesce((select string_agg(status, ',') from acme_order where account_id = a.id), 'no order'),
       (select count(*) from acme_authorization where account_id = a.id and status = 'valid') || ' valid',
       (select count(*) from evidence_use e join acme_authorization z on z.id = e.authorization_id where z.account_id = a.id) || ' used',
       (select count(*) from issuance_intent where account_id = a.id and abandoned_at is null) || ' open',
       (select count(*) from certificate where account_id = a.id) || ' recorded') as line
     from (values ($1::uuid)) as a(id)`,
    [idOf(account)],
  );
  return row?.line ?? "";
}

for (const { point, left } of [
  { point: "before intend", left: "no order · 0 valid · 0 used · 0 open · 0 recorded" },
  { point: "after intend", left: "processing · 1 valid · 1 used · 1 open · 0 recorded" },
  { point: "after sign", left: "processing · 1 valid · 1 used · 1 open · 0 recorded" },
  { point: "after record", left: "valid · 1 valid · 1 used · 0 open · 1 recorded" },
] as const) {
  t.test(`H-19 killed ${point}: all of it is there or nothing, and the account finds its order`, async (t) => {
    const { alice, one, signed } = await crash(t, point);
    t.equal(await traces(alice), left, "left behind");
    const server = await startServer(t, place);
    const driver = await acmeDriver(t, server);
    const again = await returning(driver, alice);
    const { orders: list } = (await again.postAsGet(again.account)).json();
    const { orders } = (await again.postAsGet(String(list))).json() as { orders: string[] };
    if (point === "before intend") {
      t.same(orders, [], "nothing was made");
      const { nonce, payload } = await asked(driver, again, idOf(one.spiffeId));
      const reply = await again.post(driver.directory.newOrder, payload, { header: { nonce } });
      t.equal(reply.json()["status"], "valid", "and asking anew works");
    } else {
      const [found = "", ...others] = orders;
      t.same(others, [], "one order");
      const { status, certificate = "" } = await again.readOrder(found);
      t.equal(status, "valid", "settled at the start");
      const leaf = new X509Certificate((await again.postAsGet(certificate)).text);
      t.ok(leaf.checkPrivateKey(one.key.privateKey), "of this client's key");
      t.equal(leaf.subjectAltName, `URI:${one.spiffeId}`);
      if (signed !== undefined)
        t.equal(leaf.serialNumber, new X509Certificate(signed).serialNumber, "what was signed stands for the same");
    }
    t.equal(await traces(alice), "valid · 1 valid · 1 used · 0 open · 1 recorded");
    await server.stop("SIGKILL");
  });
}

t.test("two servers", async (t) => {
  const [a, b] = await replicas(t);
  const alice = await a.acme.account();
  const aliceAtB = await b.as(alice);

  await t.test("evidence bound to a nonce of one server is taken by the other, once", async (t) => {
    const one = await inline(a.ca, a.acme, alice);
    const reply = await order(aliceAtB, b.acme, one);
    t.equal(reply.status, 201, reply.text);
    refused(t, await order(alice, a.acme, one), 400, "badNonce", "at home");
    refused(t, await order(aliceAtB, b.acme, one), 400, "badNonce", "again there");
  });

  await t.test("H-25a one bearer token, 40 accounts, both servers at once → exactly one wins", async (t) => {
    const subject = randomUUID();
    const token = await a.ca.devToken(subject, audienceOf(a.ca));
    const evidence = [{ format: "jwt", ref: "dev", value: token }];
    const all = await Promise.all(
      Array.from({ length: 40 }, async (_, n) => {
        const { ca, acme } = n % 2 === 0 ? a : b;
        const client = await acme.account();
        return { client, acme, one: await inline(ca, acme, client, subject) };
      }),
    );
    const replies = await Promise.all(all.map(({ client, acme, one }) => order(client, acme, one, { evidence })));
    t.equal(replies.filter(({ status }) => status === 201).length, 1);
    t.equal(replies.filter(({ text }) => text.includes("evidenceReplayed")).length, 39);
    const { body } = await b.ca.inventory(`/certificates?spiffeId=${encodeURIComponent(spiffeIdOf(subject))}`);
    t.match(body["certificates"], { length: 1 });
  });

  await t.test("H-01b an account that ended on one server gets nothing on the other", async (t) => {
    const carol = await a.acme.account();
    const carolAtB = await b.as(carol);
    const one = await inline(b.ca, b.acme, carolAtB);
    await carol.post(carol.account, { status: "deactivated" });
    refused(t, await order(carolAtB, b.acme, one), 401, "unauthorized");
  });
});
