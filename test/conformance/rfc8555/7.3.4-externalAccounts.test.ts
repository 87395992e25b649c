/** RFC 8555 §7.3.4: external account binding. */
import t from "tap";
import { acmeDriver, clientKey, dns, flattened, ip, uri } from "../../support/acmeDriver.ts";
import { query } from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import {
  binding,
  boundAccount,
  externalKey,
  keysOverRest,
  type BindingOverrides,
} from "../../support/externalAccounts.ts";
import { refused } from "../../support/refused.ts";

const directories = [
  { name: "bound", externalAccountRequired: true },
  { name: "servers", profiles: ["server"] },
];

t.test("RFC 8555 §7.3.4", async (t) => {
  const ca = await certificateAuthority(t, { configuration: { acme: { directories } } });
  const acme = await acmeDriver(t, ca);
  const bound = await acmeDriver(t, { ...ca, directoryUrl: `${ca.url}/acme/bound/directory` });
  const accounts = async (): Promise<unknown> => (await query(ca, "select count(*)::int as n from account"))[0];

  t.test("R7.3.4-1 a binding that is not as it must be is refused, and makes nothing", async (t) => {
    const key = await externalKey(ca, { uses: 10 });
    const before = await accounts();
    const es256 = clientKey().jwk;
    const cases: [string, BindingOverrides, number, string][] = [
      ["no alg", { header: { alg: undefined } }, 400, "malformed"],
      ["alg none", { header: { alg: "none" } }, 400, "badSignatureAlgorithm"],
      ["alg ES256", { header: { alg: "ES256" } }, 400, "badSignatureAlgorithm"],
      ["no kid", { header: { kid: undefined } }, 400, "malformed"],
      ["a kid that is no text", { header: { kid: 7 } }, 400, "malformed"],
      ["a jwk beside the kid", { header: { jwk: es256 } }, 400, "malformed"],
      ["a nonce", { header: { nonce: "AAAA" } }, 400, "malformed"],
      ["no url", { header: { url: undefined } }, 400, "malformed"],
      ["another url", { header: { url: acme.directory.newOrder } }, 400, "malformed"],
      ["crit", { header: { crit: ["url"] } }, 400, "malformed"],
      ["another key", { payload: es256 }, 400, "malformed"],
      ["a payload that is no jwk", { payload: {} }, 400, "badPublicKey"],
      ["a payload that is no object", { payload: "key" }, 400, "malformed"],
      ["an unprotected header", { jws: { header: {} } }, 400, "malformed"],
      ["several signatures", { jws: { signatures: [] } }, 400, "malformed"],
      ["no signature", { jws: { signature: undefined } }, 400, "malformed"],
      ["too much of it", { jws: { more: "x".repeat(9_000) } }, 400, "malformed"],
      ["no MAC", { mac: () => Buffer.alloc(0) }, 403, "unauthorized"],
      ["half of the MAC", { mac: (right) => right.subarray(0, 16) }, 403, "unauthorized"],
      [
        "a wrong MAC",
        { mac: (right) => Buffer.from(right.map((octet, i) => (i === 31 ? octet ^ 1 : octet))) },
        403,
        "unauthorized",
      ],
      ["the MAC of another alg", { header: { alg: "HS512" } }, 403, "unauthorized"],
      ["an unknown kid", { header: { kid: "unknown" } }, 403, "unauthorized"],
      ["a kid that cannot be one", { header: { kid: "\u0000" } }, 403, "unauthorized"],
    ];
    for (const [name, overrides, status, type] of cases) {
      const client = acme.client();
      const reply = await client.register({ externalAccountBinding: binding(acme, client, key, overrides) });
      const document = refused(t, reply, status, type, name);
      if (type === "badSignatureAlgorithm") t.same(document["algorithms"], ["HS256", "HS384", "HS512"]);
    }
    for (const member of [null, "text", 7, [], {}]) {
      refused(
        t,
        await acme.client().register({ externalAccountBinding: member }),
        400,
        "malformed",
        JSON.stringify(member),
      );
    }
    t.same(await accounts(), before);
    t.match((await keysOverRest(ca, "GET", `/${key.id}`)).body, { uses: { max: 10, made: 0 } });
  });

  t.test("R7.3.4-1 every MAC works, and the key is compared as a key", async (t) => {
    const key = await externalKey(ca, { uses: null });
    for (const [alg, hash] of [
      ["HS256", "sha256"],
      ["HS384", "sha384"],
      ["HS512", "sha512"],
    ] as const) {
      const client = acme.client();
      const made = await client.register({
        externalAccountBinding: binding(acme, client, key, { header: { alg }, hash }),
      });
      t.equal(made.status, 201, alg);
    }
    const client = acme.client();
    const members = Object.entries(client.key.jwk).toReversed();
    const payload = { use: "sig", alg: "ES256", ...Object.fromEntries(members) };
    const made = await client.register({ externalAccountBinding: binding(acme, client, key, { payload }) });
    t.equal(made.status, 201, "extra members, another order");
  });

  t.test(
    "R7.3.4-2 where it is required, its absence is externalAccountRequired, and known keys are found before",
    async (t) => {
      t.equal(acme.directory.meta["externalAccountRequired"], false);
      t.equal(bound.directory.meta["externalAccountRequired"], true);
      t.equal((await acme.client().register()).status, 201, "not required in the other directory");
      refused(t, await bound.client().register({}), 403, "externalAccountRequired");
      refused(t, await bound.client().register({ onlyReturnExisting: true }), 400, "accountDoesNotExist");

      const client = await boundAccount(bound, await externalKey(ca, { directory: "bound" }));
      const location = client.account;
      const broken = binding(bound, client, { id: "unknown", macKey: "AA" });
      for (const payload of [
        {},
        { onlyReturnExisting: true },
        { externalAccountBinding: broken },
        { externalAccountBinding: 7 },
      ]) {
        const again = await client.register(payload);
        t.equal(`${again.status} ${again.headers.location}`, `200 ${location}`, JSON.stringify(payload));
      }
    },
  );

  t.test("R7.3.4-3 the account shows a binding that was verified, and no other", async (t) => {
    const client = acme.client();
    const shown = binding(acme, client, await externalKey(ca));
    const made = await client.register({ externalAccountBinding: shown });
    t.same(made.json()["externalAccountBinding"], shown);
    t.same((await client.postAsGet(client.account)).json()["externalAccountBinding"], shown);

    const other = binding(acme, client, await externalKey(ca));
    t.same((await client.register({ externalAccountBinding: other })).json()["externalAccountBinding"], shown);
    const updated = await client.post(client.account, { externalAccountBinding: other, contact: [] });
    t.same(updated.json()["externalAccountBinding"], shown);

    const unbound = await acme.account();
    const unverified = binding(acme, unbound, { id: "unknown", macKey: "AA" });
    t.notOk("externalAccountBinding" in (await unbound.register({ externalAccountBinding: unverified })).json());
    const tried = await unbound.post(unbound.account, { externalAccountBinding: other, contact: [] });
    t.notOk("externalAccountBinding" in tried.json());
  });

  t.test(
    "R7.3.4-4 a key has so many uses, one unless the operator says more, and is consumed by an account only",
    async (t) => {
      const once = await externalKey(ca);
      const client = await boundAccount(acme, once);
      const again = await client.register({ externalAccountBinding: binding(acme, client, once) });
      t.equal(again.status, 200, "a known key needs no use");
      const late = acme.client();
      refused(t, await late.register({ externalAccountBinding: binding(acme, late, once) }), 403, "unauthorized");
      t.match((await keysOverRest(ca, "GET", `/${once.id}`)).body, { usable: false, uses: { max: 1, made: 1 } });

      const twice = await externalKey(ca, { uses: 2 });
      const first = await boundAccount(acme, twice);
      for (let i = 0; i < 3; i++) await first.register({ externalAccountBinding: binding(acme, first, twice) });
      await boundAccount(acme, twice);
      await t.rejects(boundAccount(acme, twice), /used up/);
    },
  );

  t.test("R7.3.4-4 of parallel registrations with a single-use key one wins", async (t) => {
    for (let round = 0; round < 5; round++) {
      const key = await externalKey(ca);
      const clients = Array.from({ length: 8 }, () => acme.client());
      const statuses = await Promise.all(
        clients.map(async (client) => {
          const reply = await client.register({ externalAccountBinding: binding(acme, client, key) });
          if (reply.status !== 201) refused(t, reply, 403, "unauthorized");
          return reply.status;
        }),
      );
      t.equal(statuses.filter((status) => status === 201).length, 1);
      const made = (await keysOverRest(ca, "GET", `/${key.id}`)).body;
      t.match(made, { uses: { made: 1 }, accounts: { length: 1 } });
    }
  });

  t.test("R7.3.4-4 parallel registrations of one account key use one use up", async (t) => {
    for (const uses of [1, 5]) {
      const key = await externalKey(ca, { uses });
      const client = acme.client();
      const replies = await Promise.all(
        Array.from({ length: 8 }, () => client.register({ externalAccountBinding: binding(acme, client, key) })),
      );
      t.equal(replies.filter(({ status }) => status === 201).length, 1);
      t.equal(replies.filter(({ status }) => status === 200).length, 7);
      t.equal(new Set(replies.map(({ headers }) => headers.location)).size, 1);
      t.match((await keysOverRest(ca, "GET", `/${key.id}`)).body, { uses: { made: 1 } });
    }
  });

  t.test("R7.3.4-4 an expired or revoked key makes no account; accounts that are there live on", async (t) => {
    const key = await externalKey(ca, { uses: 5, expiresAt: new Date(Date.now() + 3_600_000).toISOString() });
    const client = await boundAccount(acme, key);
    await query(ca, "update external_account_key set expires_at = now() - interval '1 second'");
    await t.rejects(boundAccount(acme, key), /expired/);
    const other = await externalKey(ca, { uses: null });
    const second = await boundAccount(acme, other);
    t.equal((await keysOverRest(ca, "POST", `/${other.id}/revoke`)).status, 200);
    await t.rejects(boundAccount(acme, other), /revoked/);
    await client.newOrder(dns("a.localhost"));
    await second.newOrder(dns("a.localhost"));
  });

  t.test("R7.3.4-4 an account may have what its key allows", async (t) => {
    const identifiers = {
      dns: ["Allowed.Localhost"],
      ip: ["10.0.0.0/15", "2001:db8::/32", "192.0.2.7"],
      spiffe: ["spiffe://mayfly.localhost/dev/web"],
    };
    const client = await boundAccount(acme, await externalKey(ca, { identifiers }));
    const good = [
      dns("allowed.localhost"),
      dns("a.b.allowed.localhost"),
      dns("*.allowed.localhost"),
      ip("10.0.0.1"),
      ip("10.1.255.255"),
      ip("2001:db8:1::1"),
      ip("192.0.2.7"),
      uri("spiffe://mayfly.localhost/dev/web"),
    ];
    const bad = [
      dns("localhost"),
      dns("notallowed.localhost"),
      dns("allowed.localhost.example"),
      dns("*.localhost"),
      ip("10.2.0.0"),
      ip("192.0.2.8"),
      ip("2001:db9::1"),
      uri("spiffe://mayfly.localhost/dev/website"),
      uri("spiffe://mayfly.localhost/dev/other"),
    ];
    for (const identifier of good) {
      const reply = await client.post(acme.directory.newOrder, { identifiers: [identifier] });
      t.equal(reply.status, 201, `${identifier.value}: ${reply.text}`);
    }
    for (const identifier of bad) {
      const reply = await client.post(acme.directory.newOrder, { identifiers: [identifier] });
      refused(t, reply, 400, "rejectedIdentifier", identifier.value);
      if (!identifier.value.startsWith("*."))
        refused(
          t,
          await client.post(acme.directory.newAuthz, { identifier }),
          403,
          "rejectedIdentifier",
          identifier.value,
        );
    }
    const several = await client.post(acme.directory.newOrder, {
      identifiers: [dns("allowed.localhost"), dns("a.localhost"), dns("b.localhost")],
    });
    t.match(refused(t, several, 400, "rejectedIdentifier")["subproblems"], { length: 2 });
    await client.newAuthz(dns("allowed.localhost"));

    // What it may have stays with it when its key changes, and when the process knows nothing of it yet.
    const next = clientKey();
    const inner = { alg: "ES256", jwk: next.jwk, url: acme.directory.keyChange };
    const changed = await client.post(
      acme.directory.keyChange,
      flattened(next, inner, { account: client.account, oldKey: client.key.jwk }),
    );
    t.equal(changed.status, 200);
    client.useKey(next);
    refused(
      t,
      await client.post(acme.directory.newOrder, { identifiers: [dns("a.localhost")] }),
      400,
      "rejectedIdentifier",
      "after a key change",
    );
    await ca.close();
    const again = await certificateAuthority(t, {
      databaseUrl: ca.databaseUrl,
      dataDir: ca.dataDir,
      port: Number(new URL(ca.url).port),
    });
    const restarted = await acmeDriver(t, again);
    const header = { nonce: await restarted.nonce() };
    const reply = await client.post(acme.directory.newOrder, { identifiers: [dns("a.localhost")] }, { header });
    refused(t, reply, 400, "rejectedIdentifier", "after a restart");
  });
});

t.test("R7.3.4-4 an account uses the profiles that its key allows", async (t) => {
  const ca = await certificateAuthority(t);
  const acme = await acmeDriver(t, ca);
  const client = await boundAccount(acme, await externalKey(ca, { profiles: ["workload"] }));
  const names = { identifiers: [dns("a.localhost")] };
  refused(t, await client.post(acme.directory.newOrder, { ...names, profile: "server" }), 400, "invalidProfile");
  refused(t, await client.post(acme.directory.newOrder, names), 400, "rejectedIdentifier", "none of them fits");
  const spiffe = uri("spiffe://mayfly.localhost/dev/web");
  t.match(await client.order({ identifiers: [spiffe] }), { profile: "workload" });
  refused(
    t,
    await client.post(acme.directory.newAuthz, { identifier: spiffe, profile: "server" }),
    400,
    "invalidProfile",
  );
  const server = await boundAccount(acme, await externalKey(ca, { profiles: ["server"] }));
  t.match(await server.order(names), { profile: "server" });
});
