/** RFC 8555 §7.4.1: pre-authorization, and what an order makes of authorizations that are there. */
import { randomUUID } from "node:crypto";
import t from "tap";
import { acmeDriver, dns, ip, uri, type AcmeClient, type Authorization } from "../../support/acmeDriver.ts";
import {
  audienceOf,
  bindingOf,
  certificateKey,
  challengeOf,
  http01Target,
  query,
  settled,
  show,
  spiffeIdOf,
  type CertificateKey,
} from "../../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../../support/certificateAuthority.ts";
import { refused } from "../../support/refused.ts";

/** Shows evidence for a pre-authorized SPIFFE ID. */
async function attest(ca: TestAuthority, alice: AcmeClient, made: Authorization, key: CertificateKey): Promise<string> {
  const challenge = challengeOf(made, "workload-attest-01");
  const subject = made.identifier.value.split("/").at(-1) ?? "";
  const token = await ca.devToken(subject, `${audienceOf(ca)}/${bindingOf(challenge, alice.key, key.spki)}`);
  const evidence = [{ format: "jwt", ref: "dev", value: token }];
  return String((await alice.post(challenge.url, { spki: key.spki, evidence })).json()["status"]);
}

t.test("RFC 8555 §7.4.1", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, { configuration: { validation: { http01Port: target.port } } });
  const driver = await acmeDriver(t, ca);

  const proved = async (alice: AcmeClient, made: Authorization): Promise<Authorization> => {
    await alice.post(show(target, alice, made).url, {});
    return await settled(alice, made.url);
  };

  await t.test("R7.4.1-1 newAuthz: 201 with Location and a pending authorization that no order has", async (t) => {
    const alice = await driver.account();
    const reply = await alice.post(driver.directory.newAuthz, { identifier: dns("Pre.localhost"), unknown: 1 });
    t.equal(reply.status, 201);
    const body = reply.json();
    t.match(body, { status: "pending", identifier: dns("pre.localhost") });
    t.match(body["expires"], /^\d{4}-.*Z$/);
    t.match(
      (body["challenges"] as { type: string }[]).map(({ type }) => type),
      ["http-01", "dns-01", "tls-alpn-01"],
    );
    t.notOk("wildcard" in body || "subdomainAuthAllowed" in body);
    const read = await alice.postAsGet(String(reply.headers.location));
    t.same(read.json(), body, "and it reads as it was made");
    const bob = await driver.account();
    refused(t, await bob.postAsGet(String(reply.headers.location)), 404, "malformed");
  });

  await t.test(
    "R7.4.1-1 what cannot be pre-authorized: wildcards, and what the server will not certify (403)",
    async (t) => {
      const alice = await driver.account();
      const ask = (payload: object) => alice.post(driver.directory.newAuthz, payload);
      refused(t, await ask({ identifier: dns("*.pre.localhost") }), 400, "malformed", "a wildcard");
      refused(t, await ask({ identifier: uri("spiffe://other.example/x") }), 403, "rejectedIdentifier", "trust domain");
      refused(
        t,
        await ask({ identifier: uri("spiffe://mayfly.localhost/none") }),
        403,
        "rejectedIdentifier",
        "no grant",
      );
      refused(t, await ask({ identifier: { type: "email", value: "a@b" } }), 403, "unsupportedIdentifier", "a type");
      refused(t, await ask({ identifier: dns("a..b") }), 400, "malformed", "no name");
      refused(t, await ask({ identifier: [dns("a.localhost")] }), 400, "malformed", "a list");
      refused(t, await ask({}), 400, "malformed", "nothing");
      refused(t, await ask({ identifier: dns("a.localhost"), profile: "none" }), 400, "invalidProfile", "a profile");
      refused(t, await alice.postAsGet(driver.directory.newAuthz), 400, "malformed", "POST-as-GET");
      const [row] = await query(
        ca,
        "select count(*)::int as made from acme_authorization where order_id is null and identifier_value <> 'pre.localhost'",
      );
      t.same(row, { made: 0 }, "and nothing was made");
    },
  );

  await t.test("a proved name counts for every order until it ends; the order is ready at once", async (t) => {
    const alice = await driver.account();
    const made = await proved(alice, await alice.newAuthz(dns("again.localhost")));
    t.equal(made.status, "valid");
    for (let round = 0; round < 2; round++) {
      const order = await alice.newOrder(dns("again.localhost"));
      t.match(order, { status: "ready", authorizations: [made.url] });
      t.equal(order.expires <= (made.expires ?? ""), true, "it does not outlive the authorization");
      const reply = await alice.post(order.finalize, { csr: certificateKey().csr({ dns: ["again.localhost"] }) });
      t.match(reply.json(), { status: "valid" });
    }
    const mixed = await alice.newOrder(dns("again.localhost"), dns("new.localhost"));
    t.equal(mixed.status, "pending", "the other name is still to be proved");
    t.ok(mixed.authorizations.includes(made.url));
    const bob = await driver.account();
    t.match(await bob.newOrder(dns("again.localhost")), { status: "pending" }, "and it is no other account's");

    const ready = await alice.newOrder(dns("again.localhost"));
    await alice.post(made.url, { status: "deactivated" });
    for (const { url } of [ready, mixed])
      t.match(await alice.readOrder(url), { status: "invalid" }, "orders that need it end with it");
    t.match(await alice.newOrder(dns("again.localhost")), { status: "pending" });
  });

  await t.test("a pending one is taken up by the next order, which is ready when it is proved", async (t) => {
    const alice = await driver.account();
    const made = await alice.newAuthz(ip("127.0.0.1"));
    const order = await alice.newOrder(ip("127.0.0.1"));
    t.match(order, { status: "pending", authorizations: [made.url] });
    const second = await alice.newOrder(ip("127.0.0.1"));
    t.not(second.authorizations[0], made.url, "the one after that makes its own");
    const [, named] = await Promise.all([
      alice.newAuthz(dns("later.localhost")),
      alice.newOrder(dns("later.localhost")),
    ]);
    t.ok(named);
    const waiting = await alice.newAuthz(dns("waits.localhost"));
    const waits = await alice.newOrder(dns("waits.localhost"));
    t.same(waits.authorizations, [waiting.url]);
    t.equal((await proved(alice, waiting)).status, "valid");
    t.match(await alice.readOrder(waits.url), { status: "ready" });
  });

  await t.test("a SPIFFE ID: newAuthz first, evidence, then an order that is ready; for one order only", async (t) => {
    const alice = await driver.account();
    const subject = randomUUID();
    const made = await alice.newAuthz(uri(spiffeIdOf(subject)));
    const key = certificateKey();
    t.equal(await attest(ca, alice, made, key), "valid");
    const orders = await Promise.all(Array.from({ length: 20 }, () => alice.newOrder(uri(spiffeIdOf(subject)))));
    const ready = orders.filter(({ status }) => status === "ready");
    t.equal(ready.length, 1, "20 orders at once: one has it");
    t.equal(orders.filter(({ authorizations }) => authorizations[0] === made.url).length, 1);
    const reply = await alice.post(ready[0]?.finalize ?? "", { csr: key.csr({ uri: [spiffeIdOf(subject)] }) });
    t.match(reply.json(), { status: "valid" });
    t.match(await alice.newOrder(uri(spiffeIdOf(subject))), { status: "pending" }, "fresh evidence for the next");
  });

  await t.test("evidence and an order that takes the authorization up, at the same moment: both count", async (t) => {
    const alice = await driver.account();
    for (let round = 0; round < 10; round++) {
      const subject = randomUUID();
      const made = await alice.newAuthz(uri(spiffeIdOf(subject)));
      const [status, order] = await Promise.all([
        attest(ca, alice, made, certificateKey()),
        alice.newOrder(uri(spiffeIdOf(subject))),
      ]);
      t.equal(status, "valid");
      const [only] = order.authorizations;
      const read = await alice.readOrder(order.url);
      t.equal(read.status, only === made.url ? "ready" : "pending", `round ${round}`);
    }
  });
});

t.test(
  "refused evidence and an order that takes the authorization up, at the same moment: the order ends too",
  async (t) => {
    const ca = await certificateAuthority(t);
    const alice = await (await acmeDriver(t, ca)).account();
    for (let round = 0; round < 15; round++) {
      const subject = randomUUID();
      const made = await alice.newAuthz(uri(spiffeIdOf(subject)));
      const challenge = challengeOf(made, "workload-attest-01");
      const evidence = [{ format: "jwt", ref: "dev", value: "a.b.c" }];
      const [reply, order] = await Promise.all([
        alice.post(challenge.url, { spki: certificateKey().spki, evidence }),
        alice.newOrder(uri(spiffeIdOf(subject))),
      ]);
      t.equal(reply.json()["status"], "invalid");
      const expected = order.authorizations[0] === made.url ? "invalid" : "pending";
      t.equal((await alice.readOrder(order.url)).status, expected, `round ${round}`);
    }
  },
);

t.test("acme.reuseAuthorizations: what one order proved counts for the next", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, {
    configuration: { validation: { http01Port: target.port }, acme: { reuseAuthorizations: true } },
  });
  const alice = await (await acmeDriver(t, ca)).account();
  const first = await alice.newOrder(dns("shared.localhost"));
  const authorization = await alice.readAuthorization(first.authorizations[0]);
  await alice.post(show(target, alice, authorization).url, {});
  await settled(alice, authorization.url);
  const second = await alice.newOrder(dns("shared.localhost"));
  t.match(second, { status: "ready", authorizations: first.authorizations });
  t.match(await alice.newOrder(dns("*.shared.localhost")), { status: "pending" }, "a wildcard is another thing");
  const reply = await alice.post(second.finalize, { csr: certificateKey().csr({ dns: ["shared.localhost"] }) });
  t.match(reply.json(), { status: "valid" });
});
