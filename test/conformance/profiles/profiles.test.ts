/** draft-ietf-acme-profiles: offered, chosen, shown, obeyed, and pinned to the order. */
import { X509Certificate } from "node:crypto";
import t from "tap";
import { acmeDriver, dns, uri, type AcmeClient, type Order, type Reply } from "../../support/acmeDriver.ts";
import { certificateKey, http01Target, spiffeIdOf, validate } from "../../support/acmeFlows.ts";
import { certificateAuthority, type TestAuthority } from "../../support/certificateAuthority.ts";
import { refused } from "../../support/refused.ts";

t.setTimeout(120_000);

const names = {
  description: "A day for names and addresses",
  identifiers: ["dns", "ip"],
  lifetimeDefaultSeconds: 86_400,
  lifetimeMinSeconds: 60,
  lifetimeMaxSeconds: 604_800,
  backdateSeconds: 60,
  keyKinds: ["ec-p256"],
  extendedKeyUsage: ["serverAuth"],
};

/** `short` serves names for an hour, in the words of its operator; with changes. */
const profilesWith = (changes: object = {}): object => ({
  workload: {
    ...names,
    description: "A workload",
    identifiers: ["uri"],
    lifetimeDefaultSeconds: 900,
    lifetimeMaxSeconds: 3600,
    extendedKeyUsage: ["serverAuth", "clientAuth"],
  },
  server: names,
  short: {
    ...names,
    description: "An hour for one name",
    identifiers: ["dns"],
    lifetimeDefaultSeconds: 3600,
    lifetimeMaxSeconds: 7200,
    ...changes,
  },
});

const lifetimeSeconds = (pem: string): number => {
  const { validFrom, validTo } = new X509Certificate(pem);
  return Math.round((Date.parse(validTo) - Date.parse(validFrom)) / 1000);
};

t.test("profiles", async (t) => {
  const target = await http01Target(t);
  const configuration = (changes?: object) => ({
    validation: { http01Port: target.port },
    profiles: profilesWith(changes),
  });
  let ca = await certificateAuthority(t, { configuration: configuration() });
  const driver = await acmeDriver(t, ca);
  const alice = await driver.account();
  const order = (members: object, by: AcmeClient = alice): Promise<Reply> =>
    by.post(driver.directory.newOrder, members);
  const made = async (members: object): Promise<Order> => {
    const reply = await order(members);
    t.equal(reply.status, 201, reply.text);
    return { ...reply.json(), url: String(reply.headers.location) } as unknown as Order;
  };

  await t.test("RPROF-1 the directory names every profile with what its operator says of it", async (t) => {
    const { profiles } = driver.directory.meta as { profiles: Record<string, string> };
    t.same(Object.keys(profiles).sort(), ["server", "short", "workload"]);
    t.equal(profiles["short"], "An hour for one name");
    t.ok(Object.values(profiles).every((text) => typeof text === "string" && text !== ""));
  });

  await t.test("RPROF-2 R7.4-2 the profile that is named is shown, and its certificate obeys it", async (t) => {
    for (const [profile, seconds] of [
      ["short", 3600],
      ["server", 86_400],
    ] as const) {
      const named = await made({ identifiers: [dns("a.localhost")], profile });
      t.match(named, { profile });
      await validate(target, alice, named);
      t.match(await alice.readOrder(named.url), { profile, status: "ready" }, "and stays");
      const reply = await alice.post(named.finalize, { csr: certificateKey().csr({ dns: ["a.localhost"] }) });
      t.match(reply.json(), { profile, status: "valid" });
      const pem = (await alice.postAsGet(String(reply.json()["certificate"]))).text;
      t.ok(Math.abs(lifetimeSeconds(pem) - seconds) <= 60, `${profile}: ${lifetimeSeconds(pem)} s`);
    }
  });

  await t.test("RPROF-3 without one the server chooses the first that fits, and shows it", async (t) => {
    t.match(await made({ identifiers: [dns("a.localhost")] }), { profile: "server" });
    t.match(await made({ identifiers: [uri(spiffeIdOf("chosen"))] }), { profile: "workload" });
  });

  await t.test("RPROF-4 one that is not there → invalidProfile, and no order is made", async (t) => {
    const identifiers = [dns("a.localhost")];
    const before = (await alice.postAsGet(`${alice.account}/orders`)).text;
    for (const profile of ["none", "", "Short", " short", "__proto__", "constructor", 7, null, ["short"], {}])
      refused(t, await order({ identifiers, profile }), 400, "invalidProfile", JSON.stringify(profile));
    t.equal((await alice.postAsGet(`${alice.account}/orders`)).text, before);
  });

  await t.test("RPROF-6 one that does not allow the identifiers → invalidProfile", async (t) => {
    refused(t, await order({ identifiers: [uri(spiffeIdOf("x"))], profile: "short" }), 400, "invalidProfile");
  });

  /** The same CA after its operator changed the configuration. */
  const restarted = async (changes?: object): Promise<TestAuthority> => {
    await ca.close();
    const { dataDir, databaseUrl, configuration: old } = ca;
    ca = await certificateAuthority(t, {
      dataDir,
      databaseUrl,
      port: old.listenPort,
      configuration: configuration(changes),
    });
    return ca;
  };

  await t.test(
    "RPROF-5 a profile that changed after the order was made → invalidProfile, for this order",
    async (t) => {
      const pinned = await made({ identifiers: [dns("a.localhost")], profile: "short" });
      const other = await made({ identifiers: [dns("a.localhost")], profile: "server" });
      await validate(target, alice, pinned);
      await validate(target, alice, other);
      const again = (await acmeDriver(t, await restarted({ lifetimeMaxSeconds: 86_400 }))).client(alice.key);
      await again.register({ onlyReturnExisting: true });
      const csr = certificateKey().csr({ dns: ["a.localhost"] });
      refused(t, await again.post(pinned.finalize, { csr }), 400, "invalidProfile");
      t.match((await again.post(other.finalize, { csr })).json(), { status: "valid" }, "others go on");
      const back = (await acmeDriver(t, await restarted())).client(alice.key);
      await back.register({ onlyReturnExisting: true });
      t.match((await back.post(pinned.finalize, { csr })).json(), { status: "valid" }, "it was left as it is");
    },
  );
});
