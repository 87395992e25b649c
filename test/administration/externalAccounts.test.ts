import t from "tap";
import { acmeDriver, dns } from "../support/acmeDriver.ts";
import { query } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { boundAccount, externalKey, keysOverRest } from "../support/externalAccounts.ts";
import { refused } from "../support/refused.ts";

t.test("external account keys over REST", async (t) => {
  const directories = [{ name: "servers", profiles: ["server"] }];
  const ca = await certificateAuthority(t, { configuration: { acme: { directories } } });

  t.test("the token is asked for, on every path", async (t) => {
    for (const [method, path] of [
      ["POST", ""],
      ["GET", ""],
      ["GET", "/x"],
      ["POST", "/x/revoke"],
    ] as const) {
      const reply = await ca.authority.server.inject({ method, url: `/api/v1/external-account-keys${path}` });
      t.equal(reply.statusCode, 401, `${method} ${path}`);
    }
  });

  t.test("a key as it is made, and the MAC key this once", async (t) => {
    const made = await keysOverRest(ca, "POST", "", {});
    t.equal(made.status, 201);
    const { id, macKey, ...rest } = made.body;
    t.equal(Buffer.from(String(macKey), "base64url").length, 32);
    t.equal(made.location, `${ca.url}/api/v1/external-account-keys/${String(id)}`);
    t.match(rest, {
      directory: "default",
      description: null,
      usable: true,
      uses: { max: 1, made: 0 },
      identifiers: null,
      profiles: null,
      expiresAt: null,
      revokedAt: null,
    });
    const read = await keysOverRest(ca, "GET", `/${String(id)}`);
    t.same(read.body, { id, ...rest, accounts: [] });
    t.same(
      await query(ca, "select event, actor from audit_entry where subject = $1", [`externalAccountKey:${String(id)}`]),
      [{ event: "externalAccountKey.created", actor: "operator" }],
    );
  });

  t.test("everything that can be said", async (t) => {
    const expiresAt = new Date(Date.now() + 86_400_000).toISOString();
    const made = await keysOverRest(ca, "POST", "", {
      directory: "servers",
      description: "web team",
      uses: null,
      expiresAt,
      identifiers: {
        dns: ["Web.Example"],
        ip: ["10.0.0.0/8", "::1"],
        spiffe: ["spiffe://mayfly.localhost/", "spiffe://mayfly.localhost/ns/web"],
      },
      profiles: ["server"],
    });
    t.match(made.body, {
      directory: "servers",
      description: "web team",
      uses: { max: null, made: null },
      expiresAt,
      identifiers: {
        dns: ["web.example"],
        ip: ["10.0.0.0/8", "::1"],
        spiffe: ["spiffe://mayfly.localhost", "spiffe://mayfly.localhost/ns/web"],
      },
      profiles: ["server"],
    });
  });

  t.test("what is not as it must be is refused with the reason, and makes nothing", async (t) => {
    const before = await query(ca, "select count(*) from external_account_key");
    const cases: [object, RegExp][] = [
      [{ directory: "none" }, /none of the name none/],
      [{ directory: "servers", profiles: ["workload"] }, /no profile workload/],
      [{ uses: 0 }, /uses/],
      [{ uses: 1.5 }, /uses/],
      [{ description: "a\u0000b" }, /description/],
      [{ expiresAt: "tomorrow" }, /RFC 3339/],
      [{ expiresAt: "2020-01-01T00:00:00Z" }, /past/],
      [{ identifiers: {} }, /identifiers/],
      [{ identifiers: { dns: [] } }, /dns/],
      [{ identifiers: { dns: ["*.example"] } }, /wildcard/i],
      [{ identifiers: { dns: ["a..b"] } }, /empty label/],
      [{ identifiers: { ip: ["10.0.0.1/8"] } }, /bits behind/],
      [{ identifiers: { ip: ["10.0.0.0/33"] } }, /prefix length/],
      [{ identifiers: { ip: ["10.0.0.0/8/8"] } }, /prefix length/],
      [{ identifiers: { ip: ["2001:DB8::/32"] } }, /canonical/],
      [{ identifiers: { ip: ["10.0.0.0/08"] } }, /prefix length/],
      [{ identifiers: { spiffe: ["spiffe://other.example/a"] } }, /trust domain/],
      [{ identifiers: { spiffe: ["spiffe://mayfly.localhost/a//b"] } }, /empty segment/],
      [{ identifiers: { spiffe: ["https://mayfly.localhost"] } }, /spiffe:/],
      [{ kid: "mine" }, /kid|additional/],
    ];
    for (const [body, reason] of cases) {
      const reply = await keysOverRest(ca, "POST", "", body);
      t.match(
        reply,
        { status: 400, body: { type: "urn:mayfly:error:invalidRequest", detail: reason } },
        JSON.stringify(body),
      );
    }
    t.same(await query(ca, "select count(*) from external_account_key"), before);
  });

  t.test("the list: newest first, in pages, by directory and by what may still be used", async (t) => {
    const made = [];
    for (let i = 0; i < 3; i++) made.push(await externalKey(ca, { directory: "servers", description: `key ${i}` }));
    const [oldest, , newest] = made.map(({ id }) => id);
    const first = (await keysOverRest(ca, "GET", "?directory=servers&limit=2")).body;
    t.match(first, { externalAccountKeys: { length: 2, 0: { id: newest } } });
    const rest = (await keysOverRest(ca, "GET", `?directory=servers&cursor=${String(first["next"])}`)).body;
    t.match(rest["externalAccountKeys"], { 0: { id: oldest } });
    t.notOk("next" in rest);
    t.equal((await keysOverRest(ca, "POST", `/${oldest}/revoke`)).status, 200);
    const idsOf = async (filter: string): Promise<string[]> =>
      ((await keysOverRest(ca, "GET", filter)).body["externalAccountKeys"] as { id: string }[]).map(({ id }) => id);
    t.ok((await idsOf("?usable=false")).includes(String(oldest)));
    t.notOk((await idsOf("?usable=true")).includes(String(oldest)));
    for (const wrong of ["?limit=0", "?limit=1001", "?usable=maybe", "?cursor=%00", "?directory=A", "?other=1"])
      t.equal((await keysOverRest(ca, "GET", wrong)).status, 400, wrong);
    t.notMatch(JSON.stringify(await keysOverRest(ca, "GET")), /macKey/);
  });

  t.test("revoking ends the key's accounts where that is asked for, and no others", async (t) => {
    const acme = await acmeDriver(t, ca);
    const [key, other] = [await externalKey(ca, { uses: null }), await externalKey(ca)];
    const [first, second] = [await boundAccount(acme, key), await boundAccount(acme, key)];
    const bystanders = [await boundAccount(acme, other), await acme.account()];
    const order = await first.newOrder(dns("a.localhost"));
    t.notOk("deactivatedAccounts" in (await keysOverRest(ca, "POST", `/${key.id}/revoke`)).body);
    t.equal((await second.newOrder(dns("a.localhost"))).status, "pending", "not asked for");
    t.equal((await keysOverRest(ca, "POST", `/${key.id}/revoke?deactivateAccounts=yes`)).status, 400);

    const ended = await keysOverRest(ca, "POST", `/${key.id}/revoke?deactivateAccounts=true`);
    t.match(ended, { status: 200, body: { id: key.id, usable: false, deactivatedAccounts: 2 } });
    for (const client of [first, second])
      refused(
        t,
        await client.post(acme.directory.newOrder, { identifiers: [dns("b.localhost")] }),
        401,
        "unauthorized",
      );
    for (const client of bystanders) t.equal((await client.newOrder(dns("b.localhost"))).status, "pending");
    const [row] = await query(ca, "select status from acme_order where id = $1", [order.url.split("/").at(-1)]);
    t.equal(row?.["status"], "invalid", "what was pending ended with them");
    const actors = await query(
      ca,
      "select 1 from audit_entry where event = 'account.deactivated' and actor = 'operator' and subject = any($1)",
      [[first, second].map(({ account }) => `account:${account.split("/").at(-1)}`)],
    );
    t.equal(actors.length, 2);
    const again = await keysOverRest(ca, "POST", `/${key.id}/revoke?deactivateAccounts=true`);
    t.match(again.body, { deactivatedAccounts: 0 });
  });

  t.test("revoking is for good, and said once in the audit log", async (t) => {
    const { id } = await externalKey(ca, { uses: 5 });
    const revoked = await keysOverRest(ca, "POST", `/${id}/revoke`);
    t.match(revoked, { status: 200, body: { id, usable: false, revokedAt: /^20/ } });
    t.same((await keysOverRest(ca, "POST", `/${id}/revoke`)).body, revoked.body);
    const told = await query(
      ca,
      "select 1 from audit_entry where event = 'externalAccountKey.revoked' and subject = $1",
      [`externalAccountKey:${id}`],
    );
    t.equal(told.length, 1);
    for (const [method, path] of [
      ["GET", "/unknown"],
      ["GET", "/%00"],
      ["POST", "/unknown/revoke"],
      ["POST", `/${"x".repeat(101)}/revoke`],
    ] as const)
      t.match(await keysOverRest(ca, method, path), { status: 404, body: { type: "urn:mayfly:error:notFound" } }, path);
  });
});

t.test("keys can be put in before the server starts, for launchers of tests", async (t) => {
  const macKey = Buffer.from("fixed");
  const ca = await certificateAuthority(t, {
    externalAccounts: async (keys) => {
      const rest = { description: null, identifiers: null, profiles: null, usesMax: null, expiresAt: null };
      await keys.createKey({ id: "kid-1", directory: "default", macKey, ...rest });
      return keys;
    },
  });
  t.match((await keysOverRest(ca, "GET", "/kid-1")).body, { id: "kid-1", usable: true });
});
