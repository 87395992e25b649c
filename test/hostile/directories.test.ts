/** H-03: objects of one directory are nothing in another, and two processes with one database know one key for an account. */
import t from "tap";
import { acmeDriver, clientKey, dns, flattened } from "../support/acmeDriver.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { refused } from "../support/refused.ts";

t.test("H-03 RPROF-6 accounts and what belongs to them exist in their directory only", async (t) => {
  const directories = [{ name: "servers", profiles: ["server"] }];
  const ca = await certificateAuthority(t, { configuration: { acme: { directories } } });
  const main = await acmeDriver(t, ca);
  const servers = await acmeDriver(t, { ...ca, directoryUrl: `${ca.url}/acme/servers/directory` });
  t.same(Object.keys(servers.directory.meta["profiles"] as object), ["server"]);
  t.equal(servers.directory.newOrder, `${ca.url}/acme/servers/new-order`);

  const key = clientKey();
  const [alice, other] = [main.client(key), servers.client(key)];
  t.equal((await alice.register()).status, 201);
  t.equal(
    (await other.register({ onlyReturnExisting: true })).json()["type"],
    "urn:ietf:params:acme:error:accountDoesNotExist",
  );
  t.equal((await other.register()).status, 201, "one key may have an account in each");
  t.not(alice.account, other.account);

  const order = await alice.newOrder(dns("a.localhost"));
  for (const url of [order.url, order.finalize, ...order.authorizations, alice.account, `${alice.account}/orders`]) {
    const there = url.replace("/acme/", "/acme/servers/");
    const payload = url === order.finalize ? { csr: "AA" } : undefined;
    refused(t, await other.post(there, payload), 404, "malformed", there);
    // The account of one directory as the signer in the other.
    const wrongKid = { kid: alice.account, url: there, nonce: await servers.nonce() };
    refused(
      t,
      await alice.post(there, payload, { header: wrongKid }),
      400,
      "malformed",
      `${there} signed by the other's kid`,
    );
  }
  const madeUp = alice.account.replace("/acme/", "/acme/servers/");
  const header = { kid: madeUp };
  refused(
    t,
    await alice.post(order.url.replace("/acme/", "/acme/servers/"), undefined, { header }),
    400,
    "accountDoesNotExist",
  );
});

t.test("H-05 a key change on one server counts at once on another, which has the old key in memory", async (t) => {
  const first = await certificateAuthority(t);
  const second = await certificateAuthority(t, {
    databaseUrl: first.databaseUrl,
    configuration: {
      keys: { development: { directory: `${first.dataDir}/keys`, passphraseFile: `${first.dataDir}/key-passphrase` } },
    },
  });
  const [a, b] = [await acmeDriver(t, first), await acmeDriver(t, second)];
  const here = await a.account();
  const old = here.key;
  const there = b.client(old);
  await there.register();
  const order = await there.newOrder(dns("a.localhost")); // The second server has the key now.

  const fresh = clientKey();
  const account = here.account;
  const url = a.directory.keyChange;
  const inner = flattened(fresh, { alg: fresh.alg, jwk: fresh.jwk, url }, { account, oldKey: old.jwk });
  t.equal((await here.post(url, inner)).status, 200);

  for (const attempt of ["read", "newOrder"] as const) {
    const reply =
      attempt === "read"
        ? await there.postAsGet(order.url)
        : await there.post(b.directory.newOrder, { identifiers: [dns("b.localhost")] });
    refused(t, reply, 400, "malformed", `the old key: ${attempt}`);
  }
  there.useKey(fresh);
  t.match(await there.readOrder(order.url), { status: "pending" }, "the new key works there");

  t.equal((await here.post(account, { status: "deactivated" }, { key: fresh })).status, 200);
  refused(t, await there.postAsGet(order.url), 401, "unauthorized", "a deactivation counts at once, too");
});
