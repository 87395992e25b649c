/** RFC 8555 §7.4: orders, finalize and the certificate. */
import { X509Certificate } from "node:crypto";
import t from "tap";
import {
  acmeDriver,
  base64url,
  dns,
  ip,
  uri,
  type AcmeClient,
  type Identifier,
  type Order,
} from "../../support/acmeDriver.ts";
import {
  attested,
  attesting,
  certificateKey,
  http01Target,
  idOf,
  issued,
  query,
  respond,
  spiffeIdOf,
  validate,
  type Http01Target,
} from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { refused } from "../../support/refused.ts";

const seconds = (fromNow: number): string => `${new Date(Date.now() + fromNow * 1000).toISOString().slice(0, 19)}Z`;

async function ready(target: Http01Target, alice: AcmeClient, ...identifiers: Identifier[]): Promise<Order> {
  const order = await alice.newOrder(...identifiers);
  await validate(target, alice, order);
  return await alice.readOrder(order.url);
}

t.test("RFC 8555 §7.4", async (t) => {
  const target = await http01Target(t);
  let ahead = 0;
  const ca = await certificateAuthority(t, {
    configuration: { validation: { http01Port: target.port, allowPrivate: true }, acme: { identifiersPerOrder: 5 } },
    now: () => new Date(Date.now() + ahead),
  });
  const acme = await acmeDriver(t, ca);
  const { directory } = acme;
  const alice = await acme.account();
  const order = (payload: object) => alice.post(directory.newOrder, payload);

  t.test("R7.4-1 newOrder: 201 with Location and the order", async (t) => {
    const reply = await order({ identifiers: [dns("a.localhost"), ip("127.0.0.1")], more: 1 });
    t.equal(reply.status, 201);
    t.match(reply.headers.location, `${ca.url}/acme/order/`);
    const made = reply.json();
    t.match(made, { status: "pending", identifiers: [dns("a.localhost"), ip("127.0.0.1")], profile: "server" });
    t.equal((made["authorizations"] as string[]).length, 2);
    t.same((await alice.postAsGet(String(reply.headers.location))).json(), made);
  });

  t.test("R7.4-2 what cannot be fulfilled as specified is refused, never adjusted", async (t) => {
    const identifiers = [dns("a.localhost")];
    const malformed: [string, object][] = [
      ["notAfter beyond the profile", { notAfter: seconds(8 * 86_400) }],
      ["shorter than the profile allows", { notBefore: seconds(0), notAfter: seconds(30) }],
      ["notAfter in the past", { notAfter: seconds(-10) }],
      ["notBefore in the past", { notBefore: seconds(-600) }],
      ["notBefore far ahead", { notBefore: seconds(7200) }],
      ["the wrong way round", { notBefore: seconds(600), notAfter: seconds(500) }],
      ["notAfter no time", { notAfter: "tomorrow" }],
      ["notAfter a number", { notAfter: 1_900_000_000 }],
      ["notAfter without a zone", { notAfter: "2030-01-01T00:00:00" }],
      ["notAfter on no day", { notAfter: "2030-02-31T25:00:00Z" }],
      ["STAR (R8739-2)", { "auto-renewal": { "end-date": seconds(86_400), lifetime: 3600 } }],
      ["delegation (R9115-1)", { delegation: "x" }],
    ];
    for (const [what, wish] of malformed) refused(t, await order({ identifiers, ...wish }), 400, "malformed", what);
    const wish = { notBefore: seconds(60), notAfter: seconds(7200) };
    t.match((await order({ identifiers, ...wish })).json(), wish, "what can be is reflected");
    t.equal(
      (await order({ identifiers, notBefore: "0001-01-01T00:00:00Z" })).status,
      201,
      "an unset time of Go is absent",
    );
    for (const profile of ["nobody", "", 7, null, ["server"], "__proto__", "workload"])
      refused(
        t,
        await order({ identifiers, profile }),
        400,
        "invalidProfile",
        `RPROF-4 profile ${JSON.stringify(profile)}`,
      );
    t.match((await order({ identifiers, profile: "server" })).json(), { profile: "server" }, "RPROF-2");
  });

  t.test(
    "R7.4-2 identifiers: type not there → unsupportedIdentifier, not to be certified → rejectedIdentifier",
    async (t) => {
      for (const type of ["email", "permanent_identifier", "hardware-module", "DNS", "", "__proto__", "TNAuthList"])
        refused(t, await order({ identifiers: [{ type, value: "x" }] }), 400, "unsupportedIdentifier", type || "empty");
      for (const value of [
        "spiffe://other.example/dev/x",
        "https://mayfly.localhost/dev/x",
        "urn:x:y",
        spiffeIdOf("x").replace("/dev/", "/prod/"),
        "spiffe://mayfly.localhost/dev/x/y",
        "spiffe://mayfly.localhost/dev",
      ])
        refused(t, await order({ identifiers: [uri(value)] }), 400, "rejectedIdentifier", value);
      const both = refused(
        t,
        await order({
          identifiers: [{ type: "email", value: "a@b" }, uri("spiffe://other.example/x"), dns("ok.localhost")],
        }),
        400,
        "malformed",
      );
      t.match(both["subproblems"], [
        { type: /unsupportedIdentifier$/, identifier: { type: "email" } },
        { type: /rejectedIdentifier$/ },
      ]);
      refused(
        t,
        await order({ identifiers: [uri(spiffeIdOf("a")), uri(spiffeIdOf("b"))] }),
        400,
        "malformed",
        "two uri identifiers",
      );
    },
  );

  t.test("R7.4-3 no identifiers, too many, twice the same, or of the wrong shape → malformed", async (t) => {
    const many = Array.from({ length: 6 }, (_, n) => dns(`n${n}.localhost`));
    const wrong: unknown[] = [
      undefined,
      null,
      [],
      {},
      "a.localhost",
      many,
      [dns("a.localhost"), dns("A.LOCALHOST")],
      ["a.localhost"],
      [null],
      [[]],
      [{ type: "dns" }],
      [{ value: "a.localhost" }],
      [{ type: 7, value: "a" }],
      [{ type: "dns", value: ["a.localhost"] }],
      [dns("a".repeat(5000))],
    ];
    for (const identifiers of wrong)
      refused(t, await order({ identifiers }), 400, "malformed", JSON.stringify(identifiers)?.slice(0, 60) ?? "none");
    t.equal((await order({ identifiers: many.slice(1) })).status, 201, "as many as allowed");
  });

  t.test("R7.4-4 R7.4-9 finalize in any state but ready → 403 orderNotReady, whatever the CSR", async (t) => {
    const key = certificateKey();
    const csrs = [key.csr({ dns: ["web.localhost"] }), "not base64url!", "AAAA"];
    const pending = await alice.newOrder(dns("web.localhost"));
    for (const csr of csrs) refused(t, await alice.post(pending.finalize, { csr }), 403, "orderNotReady", "pending");
    await alice.post(pending.authorizations[0], { status: "deactivated" });
    for (const csr of csrs) refused(t, await alice.post(pending.finalize, { csr }), 403, "orderNotReady", "invalid");
    const good = await ready(target, alice, dns("web.localhost"));
    t.equal(good.status, "ready");
    t.equal((await alice.post(good.finalize, { csr: csrs[0] })).json()["status"], "valid");
    for (const csr of csrs) refused(t, await alice.post(good.finalize, { csr }), 403, "orderNotReady", "valid");
    t.equal((await alice.readOrder(good.url)).status, "valid", "a repeat after a lost reply finds it valid");
  });

  t.test(
    "R7.4-5 R7.4-6 the CSR names exactly what the order does, else badCSR and the order stays ready",
    async (t) => {
      const good = await ready(target, alice, dns("web.localhost"), dns("api.localhost"));
      const key = certificateKey();
      const wrong: [string, Parameters<typeof key.csr>[0]][] = [
        ["one missing", { dns: ["web.localhost"] }],
        ["none", {}],
        ["one more", { dns: ["web.localhost", "api.localhost", "x.localhost"] }],
        ["another", { dns: ["web.localhost", "x.localhost"] }],
        ["one twice", { dns: ["web.localhost", "api.localhost", "api.localhost"] }],
        ["one twice in another case", { dns: ["web.localhost", "api.localhost", "API.localhost"] }],
        ["a wildcard", { dns: ["web.localhost", "*.localhost"] }],
        ["an address more", { dns: ["web.localhost", "api.localhost"], ip: ["127.0.0.1"] }],
        ["a uri more", { dns: ["web.localhost", "api.localhost"], uri: [spiffeIdOf("x")] }],
        ["a name as uri", { dns: ["web.localhost"], uri: ["api.localhost"] }],
        ["a dot behind it", { dns: ["web.localhost", "api.localhost."] }],
      ];
      for (const [what, names] of wrong) {
        refused(t, await alice.post(good.finalize, { csr: key.csr(names) }), 400, "badCSR", what);
        t.equal((await alice.readOrder(good.url)).status, "ready", "stays ready");
      }
      const reply = await alice.post(good.finalize, { csr: key.csr({ dns: ["API.localhost", "web.LOCALHOST"] }) });
      t.equal(reply.status, 200, "rule D: another case and order of dns names does");
      const leaf = new X509Certificate((await alice.postAsGet(String(reply.json()["certificate"]))).body);
      t.equal(leaf.subjectAltName, "DNS:web.localhost, DNS:api.localhost", "and they are issued as ordered");
    },
  );

  t.test("R7.4-7 the csr is one DER request whose signature verifies", async (t) => {
    const good = await ready(target, alice, dns("web.localhost"));
    const csr = certificateKey().csr({ dns: ["web.localhost"] });
    const der = Buffer.from(csr, "base64url");
    const flipped = (at: number): string => {
      const copy = Buffer.from(der);
      copy.writeUInt8((copy.at(at) ?? 0) ^ 1, at < 0 ? copy.length + at : at);
      return base64url(copy);
    };
    const long = Buffer.concat([
      Buffer.of(0x30, 0x83, 0, (der.length - 3) >> 8, (der.length - 3) & 255),
      der.subarray(der[1] === 0x81 ? 3 : 4),
    ]);
    const bad: [string, string][] = [
      ["a signature bit", flipped(-1)],
      ["a key bit", flipped(60)],
      ["octets behind it", base64url(Buffer.concat([der, Buffer.of(0, 0)]))],
      ["two requests", base64url(Buffer.concat([der, der]))],
      ["cut", base64url(der.subarray(0, -1))],
      ["a long length (BER)", base64url(long)],
      [
        "PEM",
        base64url(
          `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`,
        ),
      ],
      ["nothing", ""],
      ["a certificate", base64url(new X509Certificate(ca.root).raw)],
      ["zeroes", base64url(Buffer.alloc(500))],
      ["too large", base64url(Buffer.alloc(16_385, 0x30))],
    ];
    for (const [what, text] of bad) refused(t, await alice.post(good.finalize, { csr: text }), 400, "badCSR", what);
    for (const value of [undefined, null, 7, [csr], { der: csr }])
      refused(t, await alice.post(good.finalize, { csr: value }), 400, "malformed", JSON.stringify(value));
    t.equal((await alice.post(good.finalize, { csr })).status, 200, "R7.4-6: mended, it succeeds");
  });

  t.test("R7.4-10 R7.1.6-1 an order and its authorizations end with their time", async (t) => {
    const open = await alice.newOrder(dns("web.localhost"));
    const attestedOrder = await attested(ca, alice);
    const waiting = await attesting(ca, alice);
    const token = await ca.devToken(waiting.subject, waiting.boundAudience);
    ahead = 86_400_000 + 1000;
    t.teardown(() => (ahead = 0));
    t.equal((await alice.readOrder(open.url)).status, "invalid");
    t.equal(
      (await alice.readAuthorization(open.authorizations[0])).status,
      "invalid",
      "a pending authorization becomes invalid",
    );
    refused(t, await alice.post(open.finalize, { csr: certificateKey().csr({}) }), 403, "orderNotReady");
    t.equal((await alice.readOrder(attestedOrder.order.url)).status, "invalid", "a ready order becomes invalid");
    t.equal(
      (await alice.readAuthorization(attestedOrder.authorization.url)).status,
      "expired",
      "a valid authorization expires",
    );
    const csr = attestedOrder.key.csr({ uri: [attestedOrder.spiffeId] });
    refused(t, await alice.post(attestedOrder.order.finalize, { csr }), 403, "orderNotReady");
    t.not((await respond(waiting, token)).json()["status"], "valid", "a challenge that ran out accepts nothing");
    ahead = 0;
  });

  t.test("R7.1.6-1 an order whose authorization has expired is not ready", async (t) => {
    const { order: late, authorization, key, spiffeId } = await attested(ca, alice);
    t.ok(late.expires > (authorization.expires ?? ""), "it was open for longer than its authorization");
    const read = await alice.readOrder(late.url);
    const expires = (await alice.readAuthorization(authorization.url)).expires ?? "";
    t.ok(read.expires <= expires, "a ready order ends with the first of its authorizations");
    await query(ca, "update acme_authorization set expires_at = now() - interval '1 second' where id = $1", [
      idOf(authorization.url),
    ]);
    refused(t, await alice.post(late.finalize, { csr: key.csr({ uri: [spiffeId] }) }), 403, "orderNotReady");
  });

  t.test("R7.4.2-1 R9.1-1 the chain: strict PEM, leaf first, each certified by the next", async (t) => {
    const { certificateUrl, chain } = await issued(ca, alice);
    const reply = await alice.postAsGet(certificateUrl);
    t.equal(reply.status, 200);
    t.equal(reply.headers["content-type"], "application/pem-certificate-chain");
    t.match(
      chain,
      /^(-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{1,64}={0,2}\n-----END CERTIFICATE-----\n)+$/,
      "no other text, no blank line",
    );
    const certificates = chain.split(/(?<=-----END CERTIFICATE-----\n)/).map((pem) => new X509Certificate(pem));
    t.ok(certificates.length >= 2);
    t.notOk(certificates[0]?.ca);
    const root = new X509Certificate(ca.root);
    certificates.forEach((certificate, n) =>
      t.ok(certificate.verify((certificates[n + 1] ?? root).publicKey), `${n} is certified by the next`),
    );
  });

  t.test("R7.4.2-4 the certificate stays the same and is its account's alone", async (t) => {
    const { certificateUrl, chain } = await issued(ca, alice);
    t.equal((await alice.postAsGet(certificateUrl)).text, chain);
    refused(t, await (await acme.account()).postAsGet(certificateUrl), 404, "malformed");
    const serial = idOf(certificateUrl);
    for (const other of [
      serial.toUpperCase(),
      `00${serial}`,
      serial.slice(2),
      `${serial}00`,
      "00",
      "zz",
      "..%2f",
      `${serial.slice(0, -2)}00`,
    ])
      if (other !== serial)
        refused(
          t,
          await alice.postAsGet(certificateUrl.replace(serial, other)),
          404,
          "malformed",
          other.length > 30 ? "near" : other,
        );
  });

  t.test("R7.4-2 the certificate is what was ordered: validity to the second", async (t) => {
    const wish = { notBefore: seconds(-10), notAfter: seconds(3600) };
    const made = (await order({ identifiers: [dns("web.localhost")], ...wish })).json();
    const url = String((made["authorizations"] as string[])[0]);
    const pending = await alice.readOrder(
      String((await alice.postAsGet(`${alice.account}/orders`)).json()["orders"])
        .split(",")
        .at(-1) ?? "",
    );
    t.equal(pending.authorizations[0], url);
    await validate(target, alice, pending);
    const reply = await alice.post(pending.finalize, { csr: certificateKey().csr({ dns: ["web.localhost"] }) });
    const leaf = new X509Certificate((await alice.postAsGet(String(reply.json()["certificate"]))).body);
    t.equal(leaf.validFromDate.getTime(), Date.parse(wish.notBefore));
    t.equal(leaf.validToDate.getTime(), Date.parse(wish.notAfter));
  });
});

t.test(
  "R7.4-8 a signature that is recorded late: processing with Retry-After, 403 on a repeat, valid in the end",
  async (t) => {
    let away = false;
    const ca = await certificateAuthority(t, {
      ledger: (real) => ({
        ...real,
        record: (...of) => (away ? Promise.reject(new Error("away")) : real.record(...of)),
      }),
    });
    away = true;
    const acme = await acmeDriver(t, ca);
    const alice = await acme.account();
    const { order, key, spiffeId } = await attested(ca, alice);
    const csr = key.csr({ uri: [spiffeId] });
    const reply = await alice.post(order.finalize, { csr });
    t.equal(reply.status, 200);
    t.equal(reply.json()["status"], "processing");
    t.match(reply.headers["retry-after"], /^[1-9]$/);
    t.equal(reply.headers.location, order.url);
    t.notOk("certificate" in reply.json());
    refused(t, await alice.post(order.finalize, { csr }), 403, "orderNotReady");
    const polled = await alice.postAsGet(order.url);
    t.match(polled.json(), { status: "processing" });
    t.match(polled.headers["retry-after"], /^[1-9]$/);

    away = false;
    await ca.close();
    const { port } = new URL(ca.url);
    const again = await certificateAuthority(t, {
      databaseUrl: ca.databaseUrl,
      dataDir: ca.dataDir,
      port: Number(port),
    });
    // A new process has new nonces: a new driver, with the same account.
    const same = (await acmeDriver(t, again)).client(alice.key);
    await same.register({ onlyReturnExisting: true });
    const settled = await same.readOrder(order.url);
    t.equal(settled.status, "valid", "the next start finishes it");
    const leaf = new X509Certificate((await same.postAsGet(settled.certificate ?? "")).body);
    t.equal(leaf.subjectAltName, `URI:${spiffeId}`);
    const { body } = await again.inventory(`/certificates?spiffeId=${encodeURIComponent(spiffeId)}`);
    t.equal((body["certificates"] as unknown[]).length, 1, "once");
  },
);
