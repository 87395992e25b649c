/** RFC 9444: one authorization for a domain and the names below it. */
import { createHash } from "node:crypto";
import t from "tap";
import { acmeDriver, dns, type AcmeClient, type Authorization } from "../../support/acmeDriver.ts";
import { certificateKey, challengeOf, leafOf, settled } from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { startDnsServer, type DnsAnswer } from "../../support/dnsServer.ts";
import { refused } from "../../support/refused.ts";

t.test("RFC 9444", async (t) => {
  const records = new Map<string, string>();
  const server = await startDnsServer((name, type): DnsAnswer => {
    const data = records.get(name);
    return type === "TXT" && data !== undefined ? [{ type: "TXT", data: [data] }] : "NXDOMAIN";
  });
  t.teardown(() => server.close());
  const validation = { dnsResolver: server.address };
  const configuration = { validation, acme: { subdomainAuthorizations: true } };
  const ca = await certificateAuthority(t, { configuration });
  const driver = await acmeDriver(t, ca);

  async function prove(alice: AcmeClient, authorization: Authorization): Promise<Authorization> {
    const { token, url } = challengeOf(authorization, "dns-01");
    const digest = createHash("sha256").update(`${token}.${alice.key.thumbprint}`).digest("base64url");
    records.set(`_acme-challenge.${authorization.identifier.value}`, digest);
    await alice.post(url, {});
    return await settled(alice, authorization.url);
  }

  await t.test("R9444-1 the directory says so", async (t) => {
    t.equal(driver.directory.meta["subdomainAuthAllowed"], true);
  });

  await t.test(
    "R9444-3 R9444-7 R9444-6 R9444-2 R9444-5 newAuthz with subdomainAuthAllowed: for all names below, by dns-01 only, wildcards never",
    async (t) => {
      const alice = await driver.account();
      for (const [identifier, members] of [
        [{ ...dns("pre.test"), subdomainAuthAllowed: true }, {}],
        [dns("pre2.test"), { subdomainAuthAllowed: true }],
      ] as const) {
        const made = await alice.newAuthz(identifier, members);
        t.equal(made.subdomainAuthAllowed, true);
        t.same(
          made.challenges.map(({ type }) => type),
          ["dns-01"],
          "what one host serves says nothing of others",
        );
      }
      t.notOk("subdomainAuthAllowed" in (await alice.newAuthz(dns("plain.test"))));

      const made = await prove(alice, await alice.newAuthz({ ...dns("own.test"), subdomainAuthAllowed: true }));
      t.equal(made.status, "valid");
      const order = await alice.newOrder(dns("a.own.test"), dns("b.c.own.test"), dns("own.test"));
      t.match(order, { status: "ready", authorizations: [made.url] }, "one authorization for the three");
      t.equal(order.authorizations.length, 1);
      const names = ["a.own.test", "b.c.own.test", "own.test"];
      const reply = await alice.post(order.finalize, { csr: certificateKey().csr({ dns: names }) });
      t.match(reply.json(), { status: "valid" });
      const { text } = await alice.postAsGet(String(reply.json()["certificate"]));
      const bob = await driver.account();
      refused(t, await bob.post(driver.directory.revokeCert, { certificate: leafOf(text) }), 403, "unauthorized");

      t.match(await alice.newOrder(dns("*.own.test")), { status: "pending" }, "never mixed with wildcards");
      t.match(await alice.newOrder(dns("xown.test")), { status: "pending" }, "a name that only ends alike");
      t.match(await bob.newOrder(dns("a.own.test")), { status: "pending" }, "another account");
    },
  );

  await t.test(
    "R9444-1 R9444-4 newOrder with ancestorDomain: the ancestor is proved in place of the names",
    async (t) => {
      const alice = await driver.account();
      const identifiers = ["x.y.above.test", "z.above.test"].map((name) => ({
        ...dns(name),
        ancestorDomain: "Above.test",
      }));
      const reply = await alice.post(driver.directory.newOrder, { identifiers });
      t.equal(reply.status, 201);
      const order = await alice.readOrder(String(reply.headers.location));
      t.same(order.identifiers, [dns("x.y.above.test"), dns("z.above.test")], "identifiers as ordered");
      t.equal(order.authorizations.length, 1);
      const authorization = await alice.readAuthorization(order.authorizations[0]);
      t.match(authorization, { identifier: dns("above.test"), subdomainAuthAllowed: true });
      await prove(alice, authorization);
      t.match(await alice.readOrder(order.url), { status: "ready" });
      const names = ["x.y.above.test", "z.above.test"];
      const finalized = await alice.post(order.finalize, { csr: certificateKey().csr({ dns: names }) });
      t.match(finalized.json(), { status: "valid" });
      const { body } = await ca.inventory("/certificates?dnsName=z.above.test");
      const [recorded] = body["certificates"] as { evidence: { proved: object }[] }[];
      t.match(recorded?.evidence[1]?.proved, { challenge: "dns-01", of: "above.test" }, "and the inventory says how");
      const bob = await driver.account();
      const wrong = [{ ...dns("a.test"), ancestorDomain: "b.test" }];
      refused(t, await bob.post(driver.directory.newOrder, { identifiers: wrong }), 400, "malformed");
    },
  );
});

t.test("R9444-1 R9444-5 not configured: not advertised, ancestorDomain is ignored, the flag is not set", async (t) => {
  const ca = await certificateAuthority(t);
  const driver = await acmeDriver(t, ca);
  t.notOk("subdomainAuthAllowed" in driver.directory.meta);
  const alice = await driver.account();
  const identifiers = [{ ...dns("a.plain.localhost"), ancestorDomain: "plain.localhost" }];
  const reply = await alice.post(driver.directory.newOrder, { identifiers });
  const order = await alice.readOrder(String(reply.headers.location));
  t.match(await alice.readAuthorization(order.authorizations[0]), { identifier: dns("a.plain.localhost") });
  const made = await alice.newAuthz({ ...dns("plain.localhost"), subdomainAuthAllowed: true });
  t.notOk("subdomainAuthAllowed" in made);
});
