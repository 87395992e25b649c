/** dns-account-01 (draft-ietf-acme-dns-account-label-03) and dns-persist-01 (draft-ietf-acme-dns-persist-02) in a whole authority. */
import { createHash, randomUUID } from "node:crypto";
import t from "tap";
import { acmeDriver, clientKey, dns, flattened, ip, type AcmeClient } from "../../support/acmeDriver.ts";
import { certificateKey, challengeOf, settled } from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { startDnsServer } from "../../support/dnsServer.ts";
import { refused } from "../../support/refused.ts";

const all = ["http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01"];
const issuer = "ca.example";

/** The draft's label, written out from it: base32 of the first ten octets. */
function labelOf(account: string): string {
  let bits = 0n;
  for (const octet of createHash("sha256").update(account).digest().subarray(0, 10))
    bits = (bits << 8n) | BigInt(octet);
  let label = "";
  for (let shift = 75n; shift >= 0n; shift -= 5n)
    label += "abcdefghijklmnopqrstuvwxyz234567"[Number((bits >> shift) & 31n)];
  return `_${label}`;
}

t.test("challenges of drafts, where they are configured", async (t) => {
  const txt = new Map<string, string[]>();
  const server = await startDnsServer((name, type) =>
    type === "TXT"
      ? (txt.get(name) ?? []).map((text) => ({ type: "TXT", data: [text.slice(0, 200), text.slice(200)] }) as const)
      : [],
  );
  t.teardown(() => server.close());
  const acme = { challenges: all, issuerDomainNames: [issuer] };
  const ca = await certificateAuthority(t, { configuration: { acme, validation: { dnsResolver: server.address } } });
  const driver = await acmeDriver(t, ca);
  const alice = await driver.account();

  /** A fresh name (or wildcard) with its challenge of this type; `respond` resolves to the authorization when it has ended. */
  async function begin(who: AcmeClient, type: string, wildcard = false) {
    const name = `${randomUUID()}.test`;
    const ordered = wildcard ? `*.${name}` : name;
    const order = await who.newOrder(dns(ordered));
    const authorization = await who.readAuthorization(order.authorizations[0]);
    const challenge = challengeOf(authorization, type);
    async function respond() {
      await who.post(challenge.url, {});
      return settled(who, authorization.url);
    }
    const finalize = () => who.post(order.finalize, { csr: certificateKey().csr({ dns: [ordered] }) });
    return { name, order, authorization, challenge, respond, finalize };
  }
  const hashed = (who: AcmeClient, domain: string, thumbprint = who.key.thumbprint): string => {
    const length = Buffer.from([domain.length]);
    const digest = createHash("sha256")
      .update(length)
      .update(`${domain}${thumbprint}${who.account}`)
      .digest("base64url");
    return `${String(driver.directory.meta["accountHashPrefix"])}sha-256/${digest}`;
  };
  const persist = (name: string, ...records: string[]) => txt.set(`_validation-persist.${name}`, records);

  await t.test(
    "RDP-1 RDAL-1 offered for DNS names, wildcards too, never for addresses; the directory says so",
    async (t) => {
      t.same(driver.directory.meta["issuerDomainNames"], [issuer]);
      t.equal(driver.directory.meta["accountHashPrefix"], `${ca.url}/acme/account-hash/`);
      const typesOf = async (identifier: Parameters<AcmeClient["newOrder"]>[0]) => {
        const order = await alice.newOrder(identifier);
        return (await alice.readAuthorization(order.authorizations[0])).challenges.map(({ type }) => type);
      };
      t.same(await typesOf(dns("offered.test")), all);
      t.same(await typesOf(dns("*.offered.test")), ["dns-01", "dns-account-01", "dns-persist-01"]);
      t.same(await typesOf(ip("192.0.2.1")), ["http-01", "tls-alpn-01"]);
      const { challenge } = await begin(alice, "dns-persist-01");
      t.match(challenge, { status: "pending", issuerDomainNames: [issuer], "issuer-domain-names": [issuer] });
      t.notOk("token" in challenge, "nothing of this order is in the record");
    },
  );

  await t.test("RDAL-2 RDAL-3 dns-account-01: under this account's label, and no other's", async (t) => {
    const bob = await driver.account();
    for (const [whose, status] of [
      [alice, "valid"],
      [bob, "invalid"],
    ] as const) {
      const { name, challenge, respond, finalize } = await begin(alice, "dns-account-01", true);
      const digest = createHash("sha256").update(`${challenge.token}.${alice.key.thumbprint}`).digest("base64url");
      txt.set(`${labelOf(whose.account)}._acme-challenge.${name}`, [digest]);
      t.equal((await respond()).status, status);
      if (status === "valid") t.equal((await finalize()).json()["status"], "valid", "with a certificate");
    }
  });

  await t.test("RDP-2 RDP-3 dns-persist-01: this CA and this account", async (t) => {
    const bob = await driver.account();
    const good = await begin(alice, "dns-persist-01");
    persist(good.name, "other.example; accounturi=x", `${issuer}; accounturi=${hashed(alice, good.name)}`);
    t.equal((await good.respond()).status, "valid");
    t.equal((await good.finalize()).json()["status"], "valid", "with a certificate");
    for (const [record, type] of [
      [(name: string) => `${issuer}; accounturi=${hashed(bob, name)}`, "unauthorized"],
      [(name: string) => `other.example; accounturi=${hashed(alice, name)}`, "unauthorized"],
      [() => issuer, "malformed"],
    ] as const) {
      const bad = await begin(alice, "dns-persist-01");
      persist(bad.name, record(bad.name));
      const ended = challengeOf(await bad.respond(), "dns-persist-01");
      t.match(ended, { status: "invalid", error: { type: `urn:ietf:params:acme:error:${type}` } });
    }
  });

  await t.test("RDP-2 a record outlives the account's key", async (t) => {
    const carol = await driver.account();
    const { name, respond } = await begin(carol, "dns-persist-01");
    persist(name, `${issuer}; accounturi=${hashed(carol, name)}`);
    const next = clientKey();
    const header = { alg: next.alg, jwk: next.jwk, url: driver.directory.keyChange };
    const change = flattened(next, header, { account: carol.account, oldKey: carol.key.jwk });
    t.equal((await carol.post(driver.directory.keyChange, change)).status, 200);
    carol.useKey(next);
    t.equal((await respond()).status, "valid");
  });

  await t.test("RDP-4 a wildcard needs policy=wildcard", async (t) => {
    for (const [policy, status] of [
      ["", "invalid"],
      ["; policy=wildcard", "valid"],
    ] as const) {
      const { name, respond, finalize } = await begin(alice, "dns-persist-01", true);
      persist(name, `${issuer}; accounturi=${hashed(alice, "*")}${policy}`);
      t.equal((await respond()).status, status);
      if (status === "valid") t.equal((await finalize()).json()["status"], "valid", "with a certificate");
    }
  });

  await t.test("RDP-5 persistUntil ends the authorization, and what is past does not count", async (t) => {
    const seconds = Math.floor(Date.now() / 1000);
    const soon = await begin(alice, "dns-persist-01");
    persist(soon.name, `${issuer}; accounturi=${hashed(alice, soon.name)}; persistUntil=${seconds + 600}`);
    const valid = await soon.respond();
    t.equal(valid.status, "valid");
    t.equal(Date.parse(String(valid.expires)), (seconds + 600) * 1000, "no later than that");
    t.ok(Date.parse((await alice.readOrder(soon.order.url)).expires) <= (seconds + 600) * 1000, "nor the order");
    const past = await begin(alice, "dns-persist-01");
    persist(past.name, `${issuer}; accounturi=${hashed(alice, past.name)}; persistUntil=${seconds - 1}`);
    t.equal((await past.respond()).status, "invalid");
  });

  await t.test("RDP-6 unknown parameters, and a malformed record beside a good one", async (t) => {
    const { name, respond } = await begin(alice, "dns-persist-01");
    persist(name, `${issuer};; broken`, `${issuer}; accounturi=${hashed(alice, name)}; future=1`);
    t.equal((await respond()).status, "valid");
  });
});

t.test(
  "RDP-1 RDAL-1 not configured: never offered, never answered; and nothing is ordered that could not be proved",
  async (t) => {
    const usual = await certificateAuthority(t, { configuration: {} });
    const driver = await acmeDriver(t, usual);
    const alice = await driver.account();
    t.notOk("issuerDomainNames" in driver.directory.meta || "accountHashPrefix" in driver.directory.meta);
    const order = await alice.newOrder(dns("a.localhost"));
    const authorization = await alice.readAuthorization(order.authorizations[0]);
    t.same(
      authorization.challenges.map(({ type }) => type),
      ["http-01", "dns-01", "tls-alpn-01"],
    );
    const url = challengeOf(authorization, "dns-01").url.replace(/dns-01$/, "dns-persist-01");
    refused(t, await alice.post(url, {}), 404, "malformed");

    const narrow = await certificateAuthority(t, { configuration: { acme: { challenges: ["http-01"] } } });
    const narrowly = await acmeDriver(t, narrow);
    const bob = await narrowly.account();
    const wild = { identifiers: [dns("*.a.localhost")] };
    refused(t, await bob.post(narrowly.directory.newOrder, wild), 400, "rejectedIdentifier");
  },
);
