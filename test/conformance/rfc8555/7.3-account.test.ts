/** RFC 8555 §7.3: accounts, their update, key change and end. */
import { X509Certificate } from "node:crypto";
import t from "tap";
import {
  acmeDriver,
  base64url,
  clientKey,
  dns,
  flattened,
  type ClientKey,
  type Overrides,
} from "../../support/acmeDriver.ts";
import {
  attested,
  attesting,
  certificateKey,
  http01Target,
  issued,
  leafOf,
  respond,
  show,
  validate,
} from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { refused } from "../../support/refused.ts";

t.test("RFC 8555 §7.3", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, { configuration: { validation: { http01Port: target.port } } });
  const acme = await acmeDriver(t, ca);
  const { directory } = acme;

  t.test(
    "R7.3-1 R7.3.1-1 newAccount: 201 with Location; with a known key 200 with the same, the request's fields ignored",
    async (t) => {
      const client = acme.client();
      const made = await client.register({ contact: ["mailto:ops@example.com"] });
      t.equal(made.status, 201);
      t.match(made.headers.location, `${ca.url}/acme/account/`);
      const object = { status: "valid", contact: ["mailto:ops@example.com"], orders: `${client.account}/orders` };
      t.match(made.json(), object);
      for (const payload of [
        {},
        { contact: ["mailto:other@example.com"] },
        { contact: ["tel:1"] },
        { contact: 7 },
        { status: "deactivated" },
      ]) {
        const again = await client.register(payload);
        t.equal(again.status, 200, JSON.stringify(payload));
        t.equal(again.headers.location, made.headers.location);
        t.match(again.json(), object);
      }
    },
  );

  t.test("R7.3-2 fields that are the server's own, and unknown ones, are ignored and not reflected", async (t) => {
    const reply = await acme.client().register({
      orders: "https://evil.example",
      status: "deactivated",
      onlyReturnExisting: false,
      extra: { a: 1 },
      id: "x",
      __proto__: { x: 1 },
    });
    t.equal(reply.status, 201);
    const object = reply.json();
    t.match(object, { status: "valid", orders: `${ca.url}/acme/account/` });
    for (const member of ["onlyReturnExisting", "extra", "id"]) t.notOk(member in object, member);
  });

  t.test("R7.3-3 contacts: mailto with one plain address each", async (t) => {
    const at = (contact: unknown) => acme.client().register({ contact });
    for (const contact of [["tel:+1"], ["https://a.example"], ["ops@example.com"], ["MAILT:a@b.example"]])
      refused(t, await at(contact), 400, "unsupportedContact", String(contact));
    for (const contact of [
      [""],
      ["mailto:"],
      ["mailto:a,b@example.com"],
      ["mailto:a@example.com,b@example.com"],
      ["mailto:a@example.com?subject=x"],
      ["mailto:ä@example.com"],
      ["mailto:a@bücher.example"],
      ["mailto:a"],
      ["mailto:a@b@c.example"],
      ["mailto:a b@example.com"],
      ["mailto:a@example.com\r\nx: y"],
      [`mailto:${"a".repeat(300)}@example.com`],
      ["mailto:a%0d@example.com "],
      Array.from({ length: 11 }, (_, n) => `mailto:a${n}@example.com`),
    ])
      refused(t, await at(contact), 400, "invalidContact", JSON.stringify(contact).slice(0, 60));
    for (const contact of ["mailto:a@example.com", [7], [null], {}])
      refused(t, await at(contact), 400, "malformed", JSON.stringify(contact));
    t.same((await at(["MailTo:a+b@example.com", "mailto:c@d"])).json()["contact"], [
      "MailTo:a+b@example.com",
      "mailto:c@d",
    ]);
    t.equal((await at(null)).status, 201, "null is none");
  });

  t.test("R7.3.1-2 onlyReturnExisting with an unknown key → accountDoesNotExist, and nothing is made", async (t) => {
    const client = acme.client();
    for (const payload of [
      { onlyReturnExisting: true },
      { onlyReturnExisting: true, contact: ["mailto:a@example.com"] },
    ])
      refused(t, await client.register(payload), 400, "accountDoesNotExist");
    t.equal((await client.register()).status, 201, "it was not there");
    const found = await client.register({ onlyReturnExisting: true });
    t.equal(found.status, 200);
    t.equal(found.headers.location, client.account);
    t.equal((await client.register({ onlyReturnExisting: "true" })).status, 200);
  });

  t.test("R7.3.1-3 parallel newAccounts with one key → one account, one 201", async (t) => {
    const key = clientKey();
    const replies = await Promise.all(Array.from({ length: 20 }, () => acme.client(key).register()));
    t.equal(replies.filter(({ status }) => status === 201).length, 1);
    t.equal(replies.filter(({ status }) => status === 200).length, 19);
    t.equal(new Set(replies.map(({ headers }) => headers.location)).size, 1);
  });

  t.test("R7.3.2-1 update: contacts change, everything else is ignored", async (t) => {
    const client = await acme.account({ contact: ["mailto:a@example.com"] });
    const updated = await client.post(client.account, { contact: ["mailto:b@example.com"] });
    t.equal(updated.status, 200);
    t.match(updated.json(), { contact: ["mailto:b@example.com"] });
    for (const payload of [
      {},
      { status: "valid" },
      { status: "revoked" },
      { status: "DEACTIVATED" },
      { status: ["deactivated"] },
      { orders: "x" },
      { termsOfServiceAgreed: true },
      { extra: 1 },
    ]) {
      const reply = await client.post(client.account, payload);
      t.equal(reply.status, 200, JSON.stringify(payload));
      t.match(reply.json(), { status: "valid", contact: ["mailto:b@example.com"], orders: `${client.account}/orders` });
      t.notOk("termsOfServiceAgreed" in reply.json());
    }
    refused(t, await client.post(client.account, { contact: ["tel:1"] }), 400, "unsupportedContact");
    t.match(
      (await client.postAsGet(client.account)).json(),
      { contact: ["mailto:b@example.com"] },
      "a refused update changes nothing",
    );
    t.same((await client.post(client.account, { contact: [] })).json()["contact"], [], "contacts can go");
  });

  /** A keyChange with parts in place of the good ones. */
  const roll = (
    client: Awaited<ReturnType<typeof acme.account>>,
    next: ClientKey,
    change: {
      header?: Record<string, unknown>;
      payload?: unknown;
      inner?: Pick<Overrides, "signature" | "jws" | "payload">;
      outer?: Overrides;
      signedBy?: ClientKey;
    } = {},
  ) => {
    const header = { alg: next.alg, jwk: next.jwk, url: directory.keyChange, ...change.header };
    const payload = change.payload ?? { account: client.account, oldKey: client.key.jwk };
    return client.post(
      directory.keyChange,
      flattened(change.signedBy ?? next, header, payload, change.inner),
      change.outer,
    );
  };

  t.test("R7.3.5-1 keyChange: what is not as it must be is refused, and the key stays", async (t) => {
    const client = await acme.account();
    const next = clientKey("EdDSA");
    const good = { account: client.account, oldKey: client.key.jwk };
    const cases: [string, Parameters<typeof roll>[2]][] = [
      ["inner without jwk", { header: { jwk: undefined } }],
      ["inner with kid instead", { header: { jwk: undefined, kid: client.account } }],
      ["inner with kid as well", { header: { kid: client.account } }],
      ["inner with a nonce", { header: { nonce: await acme.nonce() } }],
      ["inner by another key", { signedBy: clientKey("EdDSA") }],
      ["inner for another url", { header: { url: directory.newOrder } }],
      ["inner without url", { header: { url: undefined } }],
      ["inner names another account", { payload: { ...good, account: (await acme.account()).account } }],
      ["inner names no account", { payload: { oldKey: good.oldKey } }],
      ["another old key", { payload: { ...good, oldKey: clientKey().jwk } }],
      ["no old key", { payload: { account: good.account } }],
      ["old key is text", { payload: { ...good, oldKey: client.key.thumbprint } }],
      ["inner payload no object", { payload: [good] }],
      ["inner payload empty", { inner: { payload: "" } }],
      ["inner with an unprotected header", { inner: { jws: { header: {} } } }],
      ["inner signature wrong", { inner: { signature: () => base64url(Buffer.alloc(64, 1)) } }],
      ["new key with private members", { header: { jwk: { ...next.jwk, d: base64url(Buffer.alloc(32, 1)) } } }],
    ];
    for (const [what, change] of cases) refused(t, await roll(client, next, change), 400, "malformed", what);
    refused(t, await roll(client, next, { header: { alg: "none" } }), 400, "badSignatureAlgorithm", "inner alg none");
    refused(
      t,
      await roll(client, next, { header: { alg: "ES256" } }),
      400,
      "badPublicKey",
      "inner alg of another kind",
    );
    refused(t, await client.post(directory.keyChange, {}), 400, "malformed", "payload no JWS");
    refused(t, await client.post(directory.keyChange, good), 400, "malformed", "payload unsigned");
    t.equal((await client.postAsGet(client.account)).status, 200, "the old key still works");
    refused(
      t,
      await acme.client(next).register({ onlyReturnExisting: true }),
      400,
      "accountDoesNotExist",
      "the new one has no account",
    );
  });

  t.test(
    "R7.3.5-1 keyChange: the new key works, the old one does not, and may have an account of its own",
    async (t) => {
      const client = await acme.account();
      for (const alg of ["EdDSA", "ES384", "RS256", "ES256"] as const) {
        const [old, next] = [client.key, clientKey(alg)];
        const reply = await roll(client, next);
        t.equal(reply.status, 200, alg);
        t.match(reply.json(), { status: "valid", orders: `${client.account}/orders` });
        refused(
          t,
          await client.postAsGet(client.account),
          400,
          old.alg === next.alg ? "malformed" : "badPublicKey",
          "the old key",
        );
        client.useKey(next);
        t.equal((await client.postAsGet(client.account)).status, 200, "the new key");
        t.equal((await acme.client(next).register({ onlyReturnExisting: true })).headers.location, client.account);
      }
    },
  );

  t.test("R7.3.5-2 H-09 keyChange to a key in use → 409 with that account's Location", async (t) => {
    const [client, other] = [await acme.account(), await acme.account()];
    for (const owner of [other, client]) {
      const reply = await roll(client, owner.key);
      refused(t, reply, 409, "malformed");
      t.equal(reply.headers.location, owner.account);
    }
    t.equal((await client.postAsGet(client.account)).status, 200);
  });

  t.test("H-09 parallel key changes → one wins, and its key is the account's", async (t) => {
    const client = await acme.account();
    const nexts = Array.from({ length: 8 }, () => clientKey());
    const replies = await Promise.all(nexts.map((next) => roll(client, next)));
    t.equal(replies.filter(({ status }) => status === 200).length, 1);
    const winner = nexts[replies.findIndex(({ status }) => status === 200)] ?? client.key;
    for (const next of nexts) {
      client.useKey(next);
      t.equal((await client.postAsGet(client.account)).status, next === winner ? 200 : 400);
    }
  });

  t.test("H-09 two accounts change to one key at the same time → one has it", async (t) => {
    const [one, two] = [await acme.account(), await acme.account()];
    const next = clientKey();
    const replies = await Promise.all([roll(one, next), roll(two, next)]);
    t.same(
      replies.map(({ status }) => status).sort((a, b) => a - b),
      [200, 409],
    );
  });

  t.test("R7.3.5-3 open orders live on; challenges use the new thumbprint", async (t) => {
    const client = await acme.account();
    const order = await client.newOrder(dns("web.localhost"));
    const next = clientKey();
    await roll(client, next);
    client.useKey(next);
    await validate(target, client, order);
    const csr = certificateKey().csr({ dns: ["web.localhost"] });
    t.equal((await client.post(order.finalize, { csr })).status, 200);
  });

  t.test("R7.3.6-1 H-01b deactivation: 200, then every request → 401 unauthorized", async (t) => {
    const client = await acme.account();
    const { order, authorization, challenge, certificateUrl, chain } = await issued(ca, client);
    const reply = await client.post(client.account, { status: "deactivated" });
    t.equal(reply.status, 200);
    t.equal(reply.json()["status"], "deactivated");
    for (const url of [
      client.account,
      `${client.account}/orders`,
      order.url,
      authorization.url,
      challenge.url,
      certificateUrl,
    ])
      refused(t, await client.postAsGet(url), 401, "unauthorized", url.slice(ca.url.length, ca.url.length + 12));
    const posts: [string, object][] = [
      [client.account, { contact: [] }],
      [client.account, { status: "deactivated" }],
      [directory.newOrder, { identifiers: [dns("a.localhost")] }],
      [order.finalize, { csr: certificateKey().csr({}) }],
      [authorization.url, { status: "deactivated" }],
      [challenge.url, {}],
      [directory.revokeCert, { certificate: leafOf(chain) }],
    ];
    for (const [url, payload] of posts)
      refused(t, await client.post(url, payload), 401, "unauthorized", Object.keys(payload)[0]);
    refused(t, await roll(client, clientKey()), 401, "unauthorized", "keyChange");
    refused(t, await client.register(), 401, "unauthorized", "newAccount with that key");
    refused(t, await client.register({ onlyReturnExisting: true }), 401, "unauthorized", "looking for it");
  });

  t.test("R7.3.6-2 deactivation ends what is open and revokes nothing", async (t) => {
    const client = await acme.account();
    const done = await issued(ca, client);
    const waiting = await attesting(ca, client);
    const ready = await attested(ca, client);
    await client.post(client.account, { status: "deactivated" });
    refused(t, await respond(waiting, await ca.devToken(waiting.subject, waiting.boundAudience)), 401, "unauthorized");
    refused(
      t,
      await client.post(ready.order.finalize, { csr: ready.key.csr({ uri: [ready.spiffeId] }) }),
      401,
      "unauthorized",
    );
    const serial = new X509Certificate(Buffer.from(leafOf(done.chain), "base64url")).serialNumber;
    t.match((await ca.inventory(`/certificates/${serial}`)).body, { state: "valid" });
    const other = await acme.account();
    refused(t, await respond({ ...waiting, alice: other }, "x"), 404, "malformed", "nobody inherits");
  });

  t.test("R7.3.6-1 a validation under way when its account ends makes nothing valid", async (t) => {
    const client = await acme.account();
    const order = await client.newOrder(dns("race.localhost"));
    const authorization = await client.readAuthorization(order.authorizations[0]);
    const challenge = show(target, client, authorization);
    const [, ended] = await Promise.all([
      client.post(challenge.url, {}),
      client.post(client.account, { status: "deactivated" }),
    ]);
    t.equal(ended.status, 200);
    refused(
      t,
      await client.post(order.finalize, { csr: certificateKey().csr({ dns: ["race.localhost"] }) }),
      401,
      "unauthorized",
    );
  });
});

t.test("R7.3-4 with terms of service, newAccount must agree to them", async (t) => {
  const termsOfService = "https://ca.example/terms";
  const ca = await certificateAuthority(t, { configuration: { acme: { termsOfService } } });
  const acme = await acmeDriver(t, ca);
  t.equal(acme.directory.meta["termsOfService"], termsOfService);
  const client = acme.client();
  for (const payload of [
    {},
    { termsOfServiceAgreed: false },
    { termsOfServiceAgreed: "true" },
    { termsOfServiceAgreed: 1 },
  ]) {
    const reply = await client.register(payload);
    refused(t, reply, 403, "userActionRequired", JSON.stringify(payload));
    t.match(reply.headers.link, `<${termsOfService}>;rel="terms-of-service"`);
  }
  const made = await client.register({ termsOfServiceAgreed: true });
  t.equal(made.status, 201);
  t.equal(made.json()["termsOfServiceAgreed"], true);
  t.equal((await client.register({})).status, 200, "R7.3.1-1: a known key need not agree again");
});
