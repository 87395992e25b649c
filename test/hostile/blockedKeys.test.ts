/** Keys that are blocked: nothing is certified with them or for them, and whoever has one may still revoke it and roll away from it. */
import { createHash, createPublicKey } from "node:crypto";
import t from "tap";
import {
  acmeDriver,
  clientKey,
  dns,
  flattened,
  type AcmeClient,
  type ClientKey,
  type Reply,
} from "../support/acmeDriver.ts";
import { certificateKey, http01Target, leafOf, query, validate, type CertificateKey } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { refused } from "../support/refused.ts";

const digest = ({ privateKey }: Pick<ClientKey, "privateKey">): Buffer =>
  createHash("sha256")
    .update(createPublicKey(privateKey).export({ type: "spki", format: "der" }))
    .digest();
/** A certificate's key as one that signs requests. */
const signing = ({ privateKey }: CertificateKey): ClientKey => {
  const { kty, crv, x, y } = privateKey.export({ format: "jwk" });
  return { ...clientKey(), privateKey, jwk: { kty: kty ?? "", crv: crv ?? "", x: x ?? "", y: y ?? "" } };
};

t.test("blocked keys", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, { configuration: { validation: { http01Port: target.port } } });
  const acme = await acmeDriver(t, ca);
  const { newOrder, keyChange, revokeCert } = acme.directory;
  const block = async (key: Pick<ClientKey, "privateKey">): Promise<void> =>
    void (await query(ca, "insert into blocked_key (spki_sha256, reason, blocked_by) values ($1, 'operator', 'test')", [
      digest(key),
    ]));
  const isBlocked = async (key: Pick<ClientKey, "privateKey">): Promise<boolean> =>
    (await query(ca, "select 1 from blocked_key where spki_sha256 = $1", [digest(key)])).length === 1;
  const ready = async (client: AcmeClient, name: string) => {
    const order = await client.newOrder(dns(name));
    await validate(target, client, order);
    return order;
  };
  const issue = async (client: AcmeClient, key: CertificateKey, name = "a.localhost"): Promise<string> => {
    const reply = await client.post((await ready(client, name)).finalize, { csr: key.csr({ dns: [name] }) });
    return (await client.postAsGet(String(reply.json()["certificate"]))).text;
  };
  const change = (client: AcmeClient, next: ClientKey): Promise<Reply> => {
    const inner = flattened(
      next,
      { alg: next.alg, jwk: next.jwk, url: keyChange },
      { account: client.account, oldKey: client.key.jwk },
    );
    return client.post(keyChange, inner);
  };

  t.test("H-16a a blocked key in a CSR → badCSR, and the order stays ready", async (t) => {
    const alice = await acme.account();
    const order = await ready(alice, "csr.localhost");
    const key = certificateKey();
    await block(key);
    const csr = key.csr({ dns: ["csr.localhost"] });
    t.match(refused(t, await alice.post(order.finalize, { csr }), 400, "badCSR")["detail"], /blocked/);
    t.equal((await alice.readOrder(order.url)).status, "ready");
    const other = await alice.post(order.finalize, { csr: certificateKey().csr({ dns: ["csr.localhost"] }) });
    t.equal(other.json()["status"], "valid", "another key will do");
  });

  for (const alg of ["ES256", "ES384", "ES512", "EdDSA", "RS256"] as const) {
    t.test(`R6.2-8 newAccount with a blocked ${alg} key → badPublicKey, and nothing is made`, async (t) => {
      const key = clientKey(alg);
      await block(key);
      const client = acme.client(key);
      refused(t, await client.register(), 400, "badPublicKey");
      refused(t, await client.register({ onlyReturnExisting: true }), 400, "accountDoesNotExist");
    });
  }

  t.test("R7.6-6 an account whose key is blocked gets nothing new, and can be rolled over", async (t) => {
    const alice = await acme.account();
    const key = certificateKey();
    const chain = await issue(alice, key);
    const order = await ready(alice, "late.localhost");
    const csr = certificateKey().csr({ dns: ["late.localhost"] });
    await block(alice.key);
    t.equal((await alice.register()).status, 200, "it is found by its key all the same");
    refused(t, await alice.post(newOrder, { identifiers: [dns("b.localhost")] }), 400, "badPublicKey", "newOrder");
    refused(t, await alice.post(order.finalize, { csr }), 400, "badPublicKey", "finalize");
    t.equal((await alice.readOrder(order.url)).status, "ready", "which it can read");
    t.equal((await alice.post(revokeCert, { certificate: leafOf(chain) })).status, 200, "it may revoke");
    const blocked = clientKey();
    await block(blocked);
    refused(t, await change(alice, blocked), 400, "badPublicKey", "not to another blocked key");
    const next = clientKey();
    t.equal((await change(alice, next)).status, 200, "and roll over to a good one");
    alice.useKey(next);
    t.equal((await alice.post(order.finalize, { csr })).json()["status"], "valid", "then everything goes on");
  });

  t.test("R7.6-6 a key that is blocked may still revoke its own certificate", async (t) => {
    const alice = await acme.account();
    const key = certificateKey();
    const certificate = leafOf(await issue(alice, key));
    await block(key);
    const reply = await acme.client(signing(key)).post(revokeCert, { certificate, reason: 1 });
    t.equal(reply.status, 200, reply.text);
    refused(t, await acme.client(signing(key)).post(revokeCert, { certificate }), 400, "alreadyRevoked");
  });

  t.test("R7.6-1 keyCompromise by the key itself blocks it, and nothing else does", async (t) => {
    const alice = await acme.account();
    const [compromised, superseded, claimed] = [certificateKey(), certificateKey(), certificateKey()];
    const chains = [await issue(alice, compromised), await issue(alice, superseded), await issue(alice, claimed)];
    const [first = "", second = "", third = ""] = chains.map(leafOf);
    t.equal((await acme.client(signing(superseded)).post(revokeCert, { certificate: second, reason: 4 })).status, 200);
    t.notOk(await isBlocked(superseded), "another reason");
    t.equal((await alice.post(revokeCert, { certificate: third, reason: 1 })).status, 200);
    t.notOk(await isBlocked(claimed), "an account that says so");
    t.equal((await acme.client(signing(compromised)).post(revokeCert, { certificate: first, reason: 1 })).status, 200);
    t.ok(await isBlocked(compromised));
    const order = await ready(alice, "again.localhost");
    const csr = compromised.csr({ dns: ["again.localhost"] });
    refused(t, await alice.post(order.finalize, { csr }), 400, "badCSR", "no further certificate");
    refused(t, await acme.client(signing(compromised)).register(), 400, "badPublicKey", "no account");
    t.equal((await alice.post(order.finalize, { csr: claimed.csr({ dns: ["again.localhost"] }) })).status, 200);
    const audit = await query(ca, "select actor, subject from audit_entry where event = 'key.blocked'");
    t.same(audit, [{ actor: "certificate key", subject: `key:${digest(compromised).toString("hex")}` }]);
  });
});
