/** RFC 8555 §6.6: rate limits, as a client meets them. */
import { randomUUID } from "node:crypto";
import t, { type Test } from "tap";
import { acmeDriver, clientKey, dns, flattened, type AcmeClient, type Reply } from "../../support/acmeDriver.ts";
import {
  certificateKey,
  http01Target,
  issued,
  query,
  settled,
  show,
  spiffeIdOf,
  validate,
} from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { refused } from "../../support/refused.ts";

/** 429 `rateLimited` with Retry-After in seconds and a link to a page that is there. */
async function limited(t: Test, reply: Reply, message: string, read: (url: string) => Promise<Reply>): Promise<number> {
  refused(t, reply, 429, "rateLimited", message);
  t.match(reply.headers["retry-after"], /^[1-9][0-9]*$/, `${message}: seconds`);
  const help = /<([^>]+)>;rel="help"/.exec(String(reply.headers.link))?.[1];
  if (help === undefined) t.fail(`${message}: no help link`);
  else t.match(await read(help), { status: 200, text: /<h1>Limits<\/h1>/ }, `${message}: a page that explains`);
  t.match(reply.headers.link, /rel="index"/, `${message}: beside the directory's`);
  return Number(reply.headers["retry-after"]);
}

t.test("R6.6-1 rates of orders, accounts and certificates", async (t) => {
  const clock = { offsetMs: 0 };
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, {
    now: () => new Date(Date.now() + clock.offsetMs),
    configuration: {
      validation: { http01Port: target.port, attempts: 1 },
      acme: {
        rateLimits: {
          newAccountsPerAddressPerMinute: 1,
          newAccountsPerAddressBurst: 4,
          ordersPerAccountPerMinute: 6,
          ordersPerAccountBurst: 5,
          certificatesPerIdentityPerMinute: 1,
          certificatesPerIdentityBurst: 2,
        },
      },
    },
  });
  const acme = await acmeDriver(t, ca);
  const { directory } = acme;
  const read = (url: string): Promise<Reply> => acme.request(url);
  const order = (client: AcmeClient, name: string): Promise<Reply> =>
    client.post(directory.newOrder, { identifiers: [dns(name)] });
  const alice = await acme.account();
  const bob = await acme.account();
  const carol = await acme.account();

  t.test("R6.6-1 H-24 accounts from one address: known keys are answered, new ones refused", async (t) => {
    t.equal((await acme.client().register()).status, 201, "the fourth");
    const late = acme.client();
    const wait = await limited(t, await late.register(), "the fifth", read);
    t.equal((await alice.register()).status, 200, "a known key is told its account (§7.3.1)");
    t.equal((await alice.register({ onlyReturnExisting: true })).status, 200);
    refused(t, await late.register({ contact: ["tel:1"] }), 400, "unsupportedContact", "its own fault comes first");
    for (let i = 0; i < 10; i++) t.equal((await alice.register()).status, 200, "and uses nothing up");
    clock.offsetMs += wait * 1000;
    t.equal((await late.register()).status, 201);
  });

  t.test(
    "R6.6-1 H-24 orders of one account: refused over the limit, made again after Retry-After, others unharmed",
    async (t) => {
      for (let i = 0; i < 5; i++) t.equal((await order(alice, `n${i}.localhost`)).status, 201);
      const wait = await limited(t, await order(alice, "six.localhost"), "the sixth", read);
      t.equal(wait, 10);
      const authorization = { identifier: dns("six.localhost") };
      await limited(t, await alice.post(`${ca.url}/acme/new-authz`, authorization), "newAuthz counts as well", read);
      t.equal((await order(bob, "bob.localhost")).status, 201, "another account");
      t.equal(
        (await query(ca, "select 1 from acme_order where identifiers @> $1", [JSON.stringify([dns("six.localhost")])]))
          .length,
        0,
      );
      clock.offsetMs += wait * 1000;
      t.equal((await order(alice, "six.localhost")).status, 201);
      refused(
        t,
        await alice.post(directory.newOrder, {}),
        400,
        "malformed",
        "what is no order is told so, not counted",
      );
    },
  );

  t.test("R6.6-1 certificates of one identity: only what was certified counts", async (t) => {
    clock.offsetMs += 600_000;
    const certify = async (client: AcmeClient): Promise<Reply> => {
      const made = await client.newOrder(dns("shared.localhost"));
      await validate(target, client, made);
      return await client.post(made.finalize, { csr: certificateKey().csr({ dns: ["shared.localhost"] }) });
    };
    for (let i = 0; i < 4; i++) await order(carol, "shared.localhost"); // Orders that prove nothing use nothing up.
    t.equal((await certify(alice)).status, 200);
    const waiting = await bob.newOrder(dns("shared.localhost"));
    await validate(target, bob, waiting);
    t.equal((await certify(bob)).status, 200);
    await limited(t, await order(alice, "shared.localhost"), "a third order", read);
    const csr = certificateKey().csr({ dns: ["shared.localhost"] });
    const wait = await limited(t, await bob.post(waiting.finalize, { csr }), "a third certificate", read);
    t.equal((await bob.readOrder(waiting.url)).status, "ready", "the order stays ready");
    clock.offsetMs += wait * 1000;
    t.equal((await bob.post(waiting.finalize, { csr })).status, 200);
    t.equal((await order(alice, "other.localhost")).status, 201, "another name");
  });

  t.test("R6.6-1 keyChange and revocation are under no limit", async (t) => {
    const next = clientKey();
    const inner = flattened(
      next,
      { alg: next.alg, jwk: next.jwk, url: directory.keyChange },
      { account: carol.account, oldKey: carol.key.jwk },
    );
    t.equal((await carol.post(directory.keyChange, inner)).status, 200);
  });
});

t.test("H-24 requests from one address, where that is limited", async (t) => {
  const ca = await certificateAuthority(t, {
    configuration: { acme: { rateLimits: { requestsPerAddressPerSecond: 1, requestsPerAddressBurst: 20 } } },
  });
  const acme = await acmeDriver(t, ca);
  const replies = await Promise.all(
    Array.from({ length: 60 }, () => acme.request(acme.directory.newNonce, { method: "HEAD" })),
  );
  const over = replies.filter(({ status }) => status === 429);
  t.ok(over.length >= 35 && over.length <= 45, `${over.length} of 60 refused`);
  const posted = await acme.request(acme.directory.newOrder, { method: "POST", body: "{}" });
  refused(t, posted, 429, "rateLimited", "before anything is verified");
  t.ok(posted.headers["replay-nonce"], "a nonce all the same (R6.5-2)");
  t.equal(posted.headers["access-control-allow-origin"], "*");
  t.equal((await acme.request(`${ca.url}/healthz`)).status, 200, "nothing but ACME is limited");
});

t.test("H-32 X-Forwarded-For counts from a trusted proxy, and from nobody else", async (t) => {
  const rateLimits = { newAccountsPerAddressPerMinute: 1, newAccountsPerAddressBurst: 1 };
  const register = async (trustedProxies: string[]) => {
    const ca = await certificateAuthority(t, { configuration: { http: { trustedProxies }, acme: { rateLimits } } });
    const acme = await acmeDriver(t, ca);
    return async (forwarded: string) =>
      (await acme.client().register({}, { headers: { "x-forwarded-for": forwarded } })).status;
  };
  const direct = await register([]);
  t.equal(await direct("192.0.2.1"), 201);
  t.equal(await direct("192.0.2.2"), 429, "whatever a stranger writes, its own address counts");
  const proxied = await register(["127.0.0.0/8", "::1", "10.0.0.0/8"]);
  t.equal(await proxied("192.0.2.1"), 201);
  t.equal(await proxied("192.0.2.2"), 201, "another client of the proxy");
  t.equal(await proxied("192.0.2.2"), 429);
  t.equal(await proxied("203.0.113.9, 192.0.2.2"), 429, "what a client wrote before the proxy did is not believed");
  t.equal(await proxied("192.0.2.3, 10.1.2.3"), 201, "a second proxy");
  t.equal(await proxied("2001:db8:0:1::1"), 201);
  t.equal(await proxied("2001:db8:0:1:ffff::2"), 429, "the same /64");
  t.equal(await proxied("2001:db8:0:2::1"), 201);
});

t.test("R6.6-1 H-24 pending orders of one account, exactly, however many come at once", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, {
    configuration: {
      validation: { http01Port: target.port, attempts: 1 },
      acme: { rateLimits: { pendingOrdersPerAccount: 40 } },
    },
  });
  const acme = await acmeDriver(t, ca);
  const [alice, bob] = [await acme.account(), await acme.account()];
  const order = (client: AcmeClient): Promise<Reply> =>
    client.post(acme.directory.newOrder, { identifiers: [dns(`${randomUUID()}.localhost`)] });
  const replies = await Promise.all(Array.from({ length: 200 }, () => order(alice)));
  t.same(
    [201, 429].map((status) => replies.filter((reply) => reply.status === status).length),
    [40, 160],
    "40 of 200 at once, no more and no less",
  );
  const over = replies.find(({ status }) => status === 429);
  if (over !== undefined) await limited(t, over, "pending orders", (url) => acme.request(url));
  t.equal((await order(bob)).status, 201, "another account");
  t.match(
    await query(ca, "select count(*)::int as orders from acme_authorization where account_id = $1", [
      alice.account.split("/").at(-1),
    ]),
    [{ orders: 40 }],
    "nothing was left behind",
  );

  const [first, second, third] = replies
    .filter(({ status }) => status === 201)
    .map(({ headers }) => String(headers.location));
  await validate(target, alice, await alice.readOrder(first ?? ""));
  t.equal((await order(alice)).status, 201, "a place is free when an order is ready");
  const { authorizations } = await alice.readOrder(second ?? "");
  await alice.post(authorizations[0], { status: "deactivated" });
  t.equal((await order(alice)).status, 201, "or invalid, by deactivation");
  const failing = await alice.readOrder(third ?? "");
  const authorization = await alice.readAuthorization(failing.authorizations[0]);
  const challenge = show(target, alice, authorization);
  target.set(challenge.token, "wrong");
  await alice.post(challenge.url, {});
  t.equal((await settled(alice, authorization.url)).status, "invalid");
  t.equal((await order(alice)).status, 201, "or by a failure");
  t.equal((await order(alice)).status, 429);
  t.equal((await order(alice)).status, 429, "and no sooner");
});

t.test("R6.6-1 500 parallel orders on one account work by default", async (t) => {
  const ca = await certificateAuthority(t);
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const replies = await Promise.all(
    Array.from({ length: 500 }, (_, i) =>
      alice.post(acme.directory.newOrder, { identifiers: [{ type: "uri", value: spiffeIdOf(`same-${i % 5}`) }] }),
    ),
  );
  t.equal(replies.filter(({ status }) => status === 201).length, 500);
  t.equal(new Set(replies.map(({ headers }) => headers.location)).size, 500);
  t.ok((await issued(ca, alice)).chain);
});

t.test("R6.6-1 too many finalize requests at once → 503 with Retry-After, and the orders stay ready", async (t) => {
  const held = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const target = await http01Target(t);
  let holding = false;
  const ca = await certificateAuthority(t, {
    configuration: { validation: { http01Port: target.port }, acme: { rateLimits: { finalizesUnderWay: 2 } } },
    ledger: (ledger) => ({
      ...ledger,
      async intend(intent) {
        if (holding && intent.orderId !== null) {
          begun.resolve();
          await held.promise;
        }
        return await ledger.intend(intent);
      },
    }),
  });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const orders = await Promise.all(
    ["a.localhost", "b.localhost", "c.localhost"].map(async (name) => {
      const order = await alice.newOrder(dns(name));
      await validate(target, alice, order);
      return { order, finalize: () => alice.post(order.finalize, { csr: certificateKey().csr({ dns: [name] }) }) };
    }),
  );
  const [first, second, third] = orders;
  if (first === undefined || second === undefined || third === undefined) throw new Error("no orders");
  holding = true;
  const running = [first.finalize(), second.finalize()];
  await begun.promise;
  while (!/^mayfly_finalizes_under_way 2$/m.test((await acme.request(`${ca.url}/metrics`)).text));
  const over = await third.finalize();
  refused(t, over, 503, "serverInternal", "the third");
  t.equal(over.headers["retry-after"], "2");
  t.equal((await alice.readOrder(third.order.url)).status, "ready", "nobody's order is spoiled by it");
  held.resolve();
  for (const reply of await Promise.all(running)) t.equal(reply.json()["status"], "valid");
  t.equal((await third.finalize()).json()["status"], "valid", "and there is room again");
  t.match(
    (await acme.request(`${ca.url}/metrics`)).text,
    /^mayfly_limit_refused_total\{limit="finalizesUnderWay"\} 1$/m,
  );
});
