/** RFC 8555 §7.1 and §7.2: the resources and their objects, nonces, states. */
import t from "tap";
import { acmeDriver, dns, ip, uri } from "../../support/acmeDriver.ts";
import {
  attested,
  attesting,
  challengeOf,
  http01Target,
  issued,
  respond,
  show,
  spiffeIdOf,
  validate,
} from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { refused } from "../../support/refused.ts";

const rfc3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/;

t.test("RFC 8555 §7.1 and §7.2", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, {
    configuration: { validation: { http01Port: target.port }, acme: { ordersPerPage: 3 } },
  });
  const acme = await acmeDriver(t, ca);
  const { directory } = acme;
  const alice = await acme.account();

  t.test("R7.1.1-1 R7.1.1-2 the directory, without authentication", async (t) => {
    const reply = await acme.request(ca.directoryUrl);
    t.equal(reply.status, 200);
    t.equal(reply.headers["content-type"], "application/json");
    const document = reply.json();
    for (const name of ["newNonce", "newAccount", "newAuthz", "newOrder", "revokeCert", "keyChange"])
      t.match(document[name], `${ca.url}/acme/`, name);
    const meta = document["meta"] as Record<string, unknown>;
    t.match(meta, {
      website: /^https/,
      externalAccountRequired: false,
      profiles: { workload: String, server: String },
      workloadAttestation: {
        version: 1,
        identifierTypes: ["uri"],
        schemes: ["spiffe"],
        trustDomains: ["mayfly.localhost"],
        challenge: "workload-attest-01",
        formats: ["jwt"],
        audience: `${ca.url}/wa`,
        binding: "wa1-sha256",
        inlineEvidence: true,
      },
    });
    for (const absent of ["termsOfService", "auto-renewal", "subdomainAuthAllowed"]) t.notOk(absent in meta, absent);
    t.notMatch(reply.text, `${ca.url}/dev`, "no issuer, cluster or tenant is named");
  });

  t.test("R7.2-1 newNonce: HEAD 200, GET 204 without a body, never to be kept", async (t) => {
    for (const [method, status] of [
      ["HEAD", 200],
      ["GET", 204],
    ] as const) {
      const reply = await acme.request(directory.newNonce, { method });
      t.equal(reply.status, status, method);
      t.equal(reply.body.length, 0);
      t.match(reply.headers["replay-nonce"], /^[\w-]{22,}$/);
      t.match(reply.headers["cache-control"], "no-store");
      t.match(reply.headers.link, `<${ca.directoryUrl}>;rel="index"`);
    }
  });

  t.test("R7.1.2-1 the account object", async (t) => {
    const account = (await alice.postAsGet(alice.account)).json();
    t.match(account, { status: "valid", orders: `${alice.account}/orders` });
  });

  t.test("R7.1.2.1-1 the list of orders: paged, pending ones in, invalid ones out", async (t) => {
    const lister = await acme.account();
    const list = async (url: string) => {
      const reply = await lister.postAsGet(url);
      t.equal(reply.status, 200);
      const next = /<([^>]+)>;rel="next"/.exec([reply.headers.link].flat().join())?.[1];
      return { urls: reply.json()["orders"] as string[], next };
    };
    const first = `${lister.account}/orders`;
    t.same(await list(first), { urls: [], next: undefined }, "none");
    const made: string[] = [];
    const make = async (): Promise<void> => void made.push((await lister.newOrder(dns("a.localhost"))).url);
    for (const length of [1, 2, 3]) {
      await make();
      t.same(await list(first), { urls: made, next: undefined }, `${length}: one page`);
    }
    await make();
    const one = await list(first);
    t.same(one.urls, made.slice(0, 3), "a full page");
    await make(); // While somebody reads: neither twice nor lost.
    const two = await list(one.next ?? "");
    t.same(two, { urls: made.slice(3), next: undefined }, "and the rest");
    const { authorizations } = await lister.readOrder(made[0] ?? "");
    await lister.post(authorizations[0], { status: "deactivated" });
    t.same((await list(first)).urls, made.slice(1, 4), "an invalid one is not listed");
    for (const after of ["x", "", "%00", `${made[0]}`])
      refused(
        t,
        await lister.postAsGet(`${first}?after=${encodeURIComponent(after)}`),
        404,
        "malformed",
        `after ${after}`,
      );
  });

  t.test("R7.1.3-1 R7.1.3-2 R7.1.3-3 the order object in each state; what it is for never changes", async (t) => {
    const { order, authorization, key, spiffeId } = await attesting(ca, alice);
    const constant = {
      identifiers: [uri(spiffeId)],
      authorizations: [authorization.url],
      finalize: order.finalize,
      profile: "workload",
    };
    const read = async () => (await alice.postAsGet(order.url)).json();
    const without = (object: Record<string, unknown>, ...members: string[]): void =>
      members.forEach((member) => t.notOk(member in object, `${String(object["status"])}: no ${member}`));
    t.match(await read(), { ...constant, status: "pending", expires: rfc3339 });
    without(await read(), "certificate", "error", "notBefore", "notAfter");
    const again = await attested(ca, alice);
    const readAgain = async () => (await alice.postAsGet(again.order.url)).json();
    t.match(await readAgain(), { status: "ready", expires: rfc3339, identifiers: [uri(again.spiffeId)] });
    without(await readAgain(), "certificate", "error");
    await alice.post(again.order.finalize, { csr: again.key.csr({ uri: [again.spiffeId] }) });
    t.match(await readAgain(), {
      status: "valid",
      expires: rfc3339,
      identifiers: [uri(again.spiffeId)],
      authorizations: [again.authorization.url],
      certificate: `${ca.url}/acme/certificate/`,
    });
    without(await readAgain(), "error");
    await respond(
      {
        alice,
        challenge: challengeOf(authorization, "workload-attest-01"),
        key,
        order,
        authorization,
        spiffeId,
        subject: "",
        boundAudience: "",
      },
      "no token",
    );
    t.match(await read(), { ...constant, status: "invalid", error: { type: String, detail: String } });
    without(await read(), "certificate");
  });

  t.test("R7.1.4-1 R8-1 the authorization and challenge objects in each state", async (t) => {
    const order = await alice.newOrder(dns("web.localhost"));
    const pending = await alice.readAuthorization(order.authorizations[0]);
    t.match(pending, { status: "pending", identifier: dns("web.localhost"), expires: rfc3339 });
    t.same(pending.challenges.map(({ type }) => type).sort(), ["dns-01", "http-01", "tls-alpn-01"]);
    for (const challenge of pending.challenges) {
      t.match(challenge, { status: "pending", url: `${ca.url}/acme/challenge/`, token: String });
      t.notOk("validated" in challenge || "error" in challenge);
    }
    await validate(target, alice, order);
    const valid = await alice.readAuthorization(order.authorizations[0]);
    t.match(valid, { status: "valid", expires: rfc3339 });
    t.match(challengeOf(valid, "http-01"), { status: "valid", validated: rfc3339 });

    const lost = await alice.newOrder(dns("lost.localhost"));
    const { url } = challengeOf(await alice.readAuthorization(lost.authorizations[0]), "http-01");
    await alice.post(url, {});
    const invalid = await alice.readAuthorization(lost.authorizations[0]);
    t.equal(invalid.status, "invalid");
    t.match(challengeOf(invalid, "http-01"), {
      status: "invalid",
      error: { type: /^urn:ietf:params:acme:error:/, detail: String },
    });
    t.equal(
      (await alice.readOrder(lost.url)).status,
      "invalid",
      "rule K: one failed challenge ends authorization and order",
    );
  });

  t.test("R7.1-2 a challenge names its authorization as up", async (t) => {
    const order = await alice.newOrder(dns("web.localhost"));
    const authorization = await alice.readAuthorization(order.authorizations[0]);
    for (const { url } of authorization.challenges)
      t.match((await alice.postAsGet(url)).headers.link, `<${authorization.url}>;rel="up"`);
    t.match(
      (await alice.post(show(target, alice, authorization).url, {})).headers.link,
      `<${authorization.url}>;rel="up"`,
    );
  });

  t.test("R7.1.4-2 a wildcard: an authorization for the base name with wildcard true, by dns-01 only", async (t) => {
    const order = await alice.newOrder(dns("*.web.localhost"), dns("web.localhost"));
    t.same(order.identifiers, [dns("*.web.localhost"), dns("web.localhost")]);
    const authorizations = await Promise.all(order.authorizations.map((url) => alice.readAuthorization(url)));
    const [wildcard, base] = authorizations;
    t.match(wildcard, { identifier: dns("web.localhost"), wildcard: true });
    t.same(
      wildcard?.challenges.map(({ type }) => type),
      ["dns-01"],
    );
    t.notOk(base?.wildcard, "absent or false otherwise (erratum 6364)");
    t.same(base?.identifier, dns("web.localhost"));
  });

  t.test("R7.1.4-3 H-18a names: A-labels verified, Unicode and bad syntax refused, case folded", async (t) => {
    const label = "a".repeat(63);
    const bad = [
      "bücher.example",
      "xn--zzzzzz99999.example",
      "XN--A.example",
      "xn--.example",
      "xn---.example",
      `${label}a.example`,
      `${label}.${label}.${label}.${label}`,
      "a..example",
      ".example",
      "a.example.",
      "",
      "-a.example",
      "a-.example",
      "a_b.example",
      "a b.example",
      "a\u0000.example",
      "*.*.example",
      "*",
      "*.",
      "a.*.example",
      "**.example",
      "*a.example",
      "127.0.0.1",
      "1.2.3.4",
      "[::1]",
      "::1",
      "http://a.example",
      "a.example:80",
      "a.example/",
      "user@a.example",
      "xn--mnchen-3ya.example.xn--bcher-kv",
    ];
    for (const name of bad) {
      const reply = await alice.post(directory.newOrder, { identifiers: [dns(name)] });
      refused(t, reply, 400, "malformed", JSON.stringify(name));
    }
    const order = await alice.newOrder(dns("WeB.LocalHost"), dns("xn--bcher-kva.example"));
    t.same(order.identifiers, [dns("web.localhost"), dns("xn--bcher-kva.example")], "rule D");
  });

  t.test("R7.1.6-1 nothing leads out of an end state", async (t) => {
    const done = await issued(ca, alice);
    const csr = done.key.csr({ uri: [done.spiffeId] });
    refused(t, await alice.post(done.order.finalize, { csr }), 403, "orderNotReady", "valid");
    const token = await ca.devToken(done.subject, done.boundAudience);
    t.equal((await respond(done, token)).json()["status"], "valid", "a valid challenge stays as it is");
    t.equal((await alice.post(done.authorization.url, { status: "deactivated" })).json()["status"], "deactivated");
    t.equal((await alice.readOrder(done.order.url)).status, "valid", "an issued order stays valid");
    refused(t, await alice.post(done.authorization.url, { status: "deactivated" }), 400, "malformed", "twice");
    for (const status of ["valid", "invalid", "pending", "revoked", "", 7, null])
      refused(t, await alice.post(done.authorization.url, { status }), 400, "malformed", `status ${status}`);
    const failed = await attesting(ca, alice);
    await respond(failed, "no token");
    const late = await respond(failed, await ca.devToken(failed.subject, failed.boundAudience));
    t.equal(late.json()["status"], "invalid", "an invalid challenge stays invalid");
    refused(
      t,
      await alice.post(failed.authorization.url, { status: "deactivated" }),
      400,
      "malformed",
      "an invalid one",
    );
  });

  t.test("R8.3-1 R11.3-1 tokens: at least 128 bits, base64url, never twice", async (t) => {
    const orders = await Promise.all(Array.from({ length: 20 }, (_, n) => alice.newOrder(dns(`n${n}.localhost`))));
    const authorizations = await Promise.all(orders.map((order) => alice.readAuthorization(order.authorizations[0])));
    const tokens = authorizations.flatMap(({ challenges }) => challenges.map(({ token }) => token));
    t.equal(tokens.length, 60);
    t.equal(new Set(tokens).size, tokens.length);
    t.ok(tokens.every((token) => /^[A-Za-z0-9_-]{22,}$/.test(token)));
    const octets = tokens.flatMap((token) => [...Buffer.from(token, "base64url")]);
    const mean = octets.reduce((sum, octet) => sum + octet, 0) / octets.length;
    t.ok(mean > 110 && mean < 145, `octets are evenly spread: their mean is ${mean}`);
  });

  t.test("RURI-3 H-26 the challenge list is a function of the identifier's type", async (t) => {
    const types = async (...identifiers: Parameters<typeof alice.newOrder>) => {
      const order = await alice.newOrder(...identifiers);
      const read = await Promise.all(order.authorizations.map((url) => alice.readAuthorization(url)));
      return read.map(({ challenges }) =>
        challenges
          .map(({ type }) => type)
          .sort()
          .join(" "),
      );
    };
    t.same(await types(uri(spiffeIdOf("x"))), ["workload-attest-01"]);
    t.same(
      await types(ip("127.0.0.1"), ip("::1")),
      ["http-01 tls-alpn-01", "http-01 tls-alpn-01"],
      "R8738-4: no dns-01 for addresses",
    );
    t.same(await types(uri(spiffeIdOf("x")), dns("web.localhost")), [
      "workload-attest-01",
      "dns-01 http-01 tls-alpn-01",
    ]);
  });

  t.test("R8738-1 addresses only in their one text", async (t) => {
    for (const value of [
      "127.0.0.01",
      "127.1",
      "2130706433",
      "0x7f000001",
      "::ffff:127.0.0.1",
      "::FFFF",
      "0:0:0:0:0:0:0:1",
      "2001:DB8::1",
      "2001:db8:0:0:1::1",
      "fe80::1%eth0",
      "[::1]",
      "127.0.0.1:80",
      "10.0.0.0/8",
      " 127.0.0.1",
      "localhost",
      "",
    ])
      refused(t, await alice.post(directory.newOrder, { identifiers: [ip(value)] }), 400, "malformed", value);
  });
});
