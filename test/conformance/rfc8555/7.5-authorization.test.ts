/** RFC 8555 §7.5 and §8: responding to challenges, deactivating authorizations. */
import t from "tap";
import { acmeDriver, dns, uri } from "../../support/acmeDriver.ts";
import {
  attested,
  attesting,
  certificateKey,
  challengeOf,
  http01Target,
  respond,
  settled,
  show,
  spiffeIdOf,
  validate,
} from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { refused } from "../../support/refused.ts";
import { httpTarget } from "../../support/validationTargets.ts";

t.test("RFC 8555 §7.5", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, { configuration: { validation: { http01Port: target.port } } });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const open = async (...names: string[]) => {
    const order = await alice.newOrder(...names.map(dns));
    return { order, authorization: await alice.readAuthorization(order.authorizations[0]) };
  };

  t.test("R7.5.1-1 R7.5.1-2 rule J a response: 200 with the challenge; unknown members are ignored", async (t) => {
    for (const payload of [{}, { x: 1 }, { keyAuthorization: "of old" }]) {
      const { authorization } = await open("web.localhost");
      const challenge = show(target, alice, authorization);
      const reply = await alice.post(challenge.url, payload);
      t.equal(reply.status, 200);
      t.match(reply.json(), {
        type: "http-01",
        url: challenge.url,
        token: challenge.token,
        status: /^(processing|valid)$/,
      });
      t.equal((await settled(alice, authorization.url)).status, "valid");
    }
  });

  t.test("R7.5.1-2 reading a challenge starts nothing", async (t) => {
    const { authorization } = await open("web.localhost");
    const challenge = show(target, alice, authorization);
    t.match((await alice.postAsGet(challenge.url)).json(), { status: "pending" });
    for (const type of ["dns-02", "workload-attest-01", "http-01/", "__proto__"])
      t.equal((await alice.post(challenge.url.replace("http-01", type), {})).status, 404, type);
    for (const payload of ["[]", "7", "null"])
      refused(
        t,
        await alice.post(challenge.url, undefined, { payload: Buffer.from(payload).toString("base64url") }),
        400,
        "malformed",
        payload,
      );
    t.equal((await alice.readAuthorization(authorization.url)).status, "pending");
    t.equal(target.asked.get(`/.well-known/acme-challenge/${challenge.token}`), undefined, "and nobody was asked");
  });

  t.test("R7.5.1-3 an authorization is settled once, and its other challenges stay as they were", async (t) => {
    const { order, authorization } = await open("web.localhost");
    await validate(target, alice, order);
    const valid = await alice.readAuthorization(authorization.url);
    t.match(valid.expires, /^\d{4}-/);
    t.equal(challengeOf(valid, "dns-01").status, "pending");
    const late = await alice.post(challengeOf(valid, "dns-01").url, {});
    t.match(late.json(), { type: "dns-01", status: "pending" }, "a second proof is not looked at");
    t.same(await alice.readAuthorization(authorization.url), valid);
  });

  t.test("R7.5.1-4 R7.5.1-5 while one is processing: Retry-After, and parallel responses make one query", async (t) => {
    const release = Promise.withResolvers<void>();
    let queries = 0;
    const slow = await httpTarget(t, (_, response) => {
      queries++;
      void release.promise.then(() => response.end("wrong"));
    });
    const other = await certificateAuthority(t, {
      configuration: { validation: { http01Port: slow, patienceMs: 50 } },
    });
    const driver = await acmeDriver(t, other);
    const bob = await driver.account();
    const order = await bob.newOrder(dns("slow.localhost"));
    const authorization = await bob.readAuthorization(order.authorizations[0]);
    const { url } = challengeOf(authorization, "http-01");
    const replies = await Promise.all(Array.from({ length: 10 }, () => bob.post(url, {})));
    for (const reply of replies) {
      t.equal(reply.json()["status"], "processing");
      t.match(reply.headers["retry-after"], /^[1-9]$/);
    }
    t.match((await bob.postAsGet(authorization.url)).headers["retry-after"], /^[1-9]$/);
    t.equal((await bob.readAuthorization(authorization.url)).status, "pending");
    const { url: dnsUrl } = challengeOf(authorization, "dns-01");
    t.match(
      (await bob.post(dnsUrl, {})).json(),
      { type: "dns-01", status: "pending" },
      "nor another challenge beside it",
    );
    release.resolve();
    t.equal((await settled(bob, authorization.url)).status, "invalid");
    t.equal(queries, 1, "one query");
    t.equal((await bob.readOrder(order.url)).status, "invalid");
  });

  t.test(
    "R7.5.2-1 rule L deactivation of a pending, then of a valid authorization; the order ends with it",
    async (t) => {
      const pending = await open("a.localhost", "b.localhost");
      const reply = await alice.post(pending.authorization.url, { status: "deactivated" });
      t.match(reply.json(), { status: "deactivated" });
      t.equal(reply.status, 200);
      t.equal((await alice.readOrder(pending.order.url)).status, "invalid");
      const later = await alice.post(show(target, alice, pending.authorization).url, {});
      t.not(later.json()["status"], "valid", "and its challenges are dead");

      const ready = await attested(ca, alice);
      refused(
        t,
        await (await acme.account()).post(ready.authorization.url, { status: "deactivated" }),
        404,
        "malformed",
        "by a stranger",
      );
      t.equal((await alice.readOrder(ready.order.url)).status, "ready");
      await alice.post(ready.authorization.url, { status: "deactivated" });
      t.equal((await alice.readOrder(ready.order.url)).status, "invalid", "between ready and finalize");
      refused(
        t,
        await alice.post(ready.order.finalize, { csr: ready.key.csr({ uri: [ready.spiffeId] }) }),
        403,
        "orderNotReady",
      );
    },
  );

  t.test("R7.5.2-1 a validation under way when its authorization is deactivated makes nothing valid", async (t) => {
    for (let round = 0; round < 5; round++) {
      const { order, authorization } = await open("race.localhost");
      const [, ended] = await Promise.all([
        alice.post(show(target, alice, authorization).url, {}),
        alice.post(authorization.url, { status: "deactivated" }),
      ]);
      t.equal(ended.status, 200);
      t.equal((await alice.readAuthorization(authorization.url)).status, "deactivated");
      t.equal((await alice.readOrder(order.url)).status, "invalid");
    }
  });

  t.test("authorizations that become valid at the same moment make their order ready", async (t) => {
    for (let round = 0; round < 5; round++) {
      const names = ["a", "b", "c", "d"].map((name) => `${name}${round}.localhost`);
      const order = await alice.newOrder(...names.map(dns));
      const authorizations = await Promise.all(order.authorizations.map((url) => alice.readAuthorization(url)));
      await Promise.all(authorizations.map((one) => alice.post(show(target, alice, one).url, {})));
      await Promise.all(order.authorizations.map((url) => settled(alice, url)));
      t.equal((await alice.readOrder(order.url)).status, "ready");
      t.equal(
        (await alice.post(order.finalize, { csr: certificateKey().csr({ dns: names }) })).json()["status"],
        "valid",
      );
    }
  });

  t.test("RURI-5 a uri and a name in one order, proved at the same moment, each by its own", async (t) => {
    const flow = await attesting(ca, alice);
    const order = await alice.newOrder(uri(flow.spiffeId), dns("web.localhost"));
    const [forUri, forName] = await Promise.all(order.authorizations.map((url) => alice.readAuthorization(url)));
    if (forUri === undefined || forName === undefined) throw new Error("two authorizations were expected");
    t.notOk(forName.challenges.some(({ type }) => type === "workload-attest-01"));
    t.not((await alice.readOrder(order.url)).status, "ready");
    const mixed = { ...flow, order, authorization: forUri, challenge: challengeOf(forUri, "workload-attest-01") };
    const token = await ca.devToken(flow.subject, ca.configuration.audience);
    await Promise.all([respond(mixed, token), alice.post(show(target, alice, forName).url, {})]);
    await settled(alice, forName.url);
    t.equal((await alice.readOrder(order.url)).status, "ready");
    refused(
      t,
      await alice.post(order.finalize, { csr: flow.key.csr({ uri: [flow.spiffeId] }) }),
      400,
      "badCSR",
      "the name is missing",
    );
    const names = { uri: [flow.spiffeId], dns: ["web.localhost"] };
    refused(
      t,
      await alice.post(order.finalize, { csr: certificateKey().csr(names) }),
      400,
      "badCSR",
      "the committed key counts",
    );
    t.equal((await alice.post(order.finalize, { csr: flow.key.csr(names) })).json()["status"], "valid");
  });

  t.test("RURI-1 RURI-2 H-18b SPIFFE IDs to the letter", async (t) => {
    const { directory } = acme;
    const td = "mayfly.localhost";
    const malformed = [
      `spiffe://Mayfly.localhost/dev/x`,
      `SPIFFE://${td}/dev/x`,
      `Spiffe://${td}/dev/x`,
      `spiffe://${td}:8443/dev/x`,
      `spiffe://user@${td}/dev/x`,
      `spiffe://${td}/dev/x?y`,
      `spiffe://${td}/dev/x#y`,
      `spiffe://${td}/dev/.`,
      `spiffe://${td}/dev/..`,
      `spiffe://${td}/dev//x`,
      `spiffe://${td}/dev/x/`,
      `spiffe://${td}/dev/%78`,
      `spiffe://${td}/`,
      `spiffe://${td}`,
      `spiffe:///dev/x`,
      `spiffe://${td}/dev/${"x".repeat(2048)}`,
      `spiffe://${td}/dev/ü`,
      `spiffe://${td}/dev/x y`,
      `spiffe://${td}/dev/x\n`,
      `spiffe:/${td}/dev/x`,
      `spiffe:${td}`,
      "",
      "x",
      `spiffe://${td}/dev/x\u0000`,
      `spiffe://${"a".repeat(256)}/x`,
    ];
    for (const value of malformed)
      refused(
        t,
        await alice.post(directory.newOrder, { identifiers: [uri(value)] }),
        400,
        "malformed",
        JSON.stringify(value).slice(0, 60),
      );
    for (const subject of ["a", "A-1_2.3", "...", "x".repeat(1900)])
      t.same((await alice.newOrder(uri(spiffeIdOf(subject)))).identifiers, [uri(spiffeIdOf(subject))]);
  });
});
