/** CAA (RFC 8659, RFC 8657) in a whole authority: looked at when a name is validated, and again at finalize when that was long ago. */
import { createHash } from "node:crypto";
import t from "tap";
import { acmeDriver, dns, ip, type AcmeClient, type Order } from "../../support/acmeDriver.ts";
import { certificateKey, challengeOf, settled } from "../../support/acmeFlows.ts";
import { certificateAuthority } from "../../support/certificateAuthority.ts";
import { startDnsServer, type DnsAnswer } from "../../support/dnsServer.ts";
import { refused } from "../../support/refused.ts";

const hour = 3_600_000;
const error = (type: string): string => `urn:ietf:params:acme:error:${type}`;

/** A zone with TXT records for dns-01 and with CAA records ("0 issue ca.example"), and a CA whose clock can be set. */
async function world(t: Parameters<typeof certificateAuthority>[0], acme: object = { caaIdentities: ["ca.example"] }) {
  const txt = new Map<string, string>();
  const caa = new Map<string, string[] | "SERVFAIL" | "silence">();
  const server = await startDnsServer((name, type): DnsAnswer => {
    if (type === "TXT") return txt.has(name) ? [{ type: "TXT", data: txt.get(name) ?? "" }] : "NXDOMAIN";
    const found = caa.get(name) ?? [];
    if (type !== "CAA" || typeof found === "string") return typeof found === "string" ? found : [];
    return found.map((text) => {
      const [, flags = "", tag = "", value = ""] = /^(\d+) (\S+) ?(.*)$/.exec(text) ?? [];
      return { type: "CAA", data: [flags, tag, value] };
    });
  });
  t.teardown(() => server.close());
  const clock = { aheadMs: 0 };
  const ca = await certificateAuthority(t, {
    configuration: { acme, validation: { dnsResolver: server.address, retryDelayMs: 20 } },
    now: () => new Date(Date.now() + clock.aheadMs),
  });
  const driver = await acmeDriver(t, ca);
  const caaQuestions = (): string[] =>
    server.questions.filter((question) => question.startsWith("CAA ")).map((question) => question.split(" ")[1] ?? "");

  /** Proves every name of the order by dns-01; resolves to the authorizations. */
  async function prove(alice: AcmeClient, order: Order) {
    return Promise.all(
      order.authorizations.map(async (url) => {
        const authorization = await alice.readAuthorization(url);
        const { token, url: challengeUrl } = challengeOf(authorization, "dns-01");
        const digest = createHash("sha256").update(`${token}.${alice.key.thumbprint}`).digest("base64url");
        txt.set(`_acme-challenge.${authorization.identifier.value}`, digest);
        await alice.post(challengeUrl, {});
        return await settled(alice, url);
      }),
    );
  }
  return { ca, driver, server, caa, clock, caaQuestions, prove };
}

t.test("CAA where it is configured", async (t) => {
  const { driver, caa, server, clock, caaQuestions, prove } = await world(t);
  const alice = await driver.account();
  const finalize = (order: Order, ...names: string[]) =>
    alice.post(order.finalize, { csr: certificateKey().csr({ dns: names }) });

  await t.test("R7.1.1-2 the directory names the identities", async (t) => {
    t.same(driver.directory.meta["caaIdentities"], ["ca.example"]);
  });

  await t.test("R8659-1 R8659-2 no records, permission at the name or above it, and prohibition", async (t) => {
    caa.set("permits.test", ["0 issue ca.example"]);
    caa.set("forbids.test", ["0 issue other.example"]);
    caa.set("own.forbids.test", ["0 iodef mailto:a@b.test", "0 issue ca.example"]);
    caa.set("wild.test", ["0 issue ;", "0 issuewild ca.example"]);
    for (const [name, status] of [
      ["none.test", "valid"],
      ["a.permits.test", "valid"],
      ["a.b.forbids.test", "invalid"],
      ["own.forbids.test", "valid"],
      ["*.wild.test", "valid"],
      ["wild.test", "invalid"],
    ] as const) {
      const order = await alice.newOrder(dns(name));
      const [authorization] = await prove(alice, order);
      t.equal(authorization?.status, status, name);
      const challenge = authorization && challengeOf(authorization, "dns-01");
      t.notOk(challenge && "caaCheckedAt" in challenge, "what is ours is not shown");
      if (status === "valid") t.equal((await finalize(order, name)).json()["status"], "valid", name);
      else
        t.match(await alice.readOrder(order.url), { status: "invalid", error: { type: error("caa"), detail: /CAA/ } });
    }
  });

  await t.test("R8659-3 an unknown critical property forbids", async (t) => {
    caa.set("critical.test", ["0 issue ca.example", "128 future x"]);
    const [authorization] = await prove(alice, await alice.newOrder(dns("critical.test")));
    t.match(authorization && challengeOf(authorization, "dns-01"), {
      status: "invalid",
      error: { type: error("caa") },
    });
  });

  await t.test("R8659-4 a failed lookup is no permission: tried again, then dns", async (t) => {
    caa.set("broken.test", "SERVFAIL");
    const [authorization] = await prove(alice, await alice.newOrder(dns("a.broken.test")));
    const challenge = authorization && challengeOf(authorization, "dns-01");
    t.match(challenge, {
      status: "invalid",
      error: { type: error("dns"), detail: /CAA lookup of broken\.test.*SERVFAIL/ },
    });
    t.equal(challenge?.error?.subproblems?.length, 2, "as often as any failed query");
  });

  await t.test("R8657-1 R8657-2 for this account, and by this method", async (t) => {
    const bob = await driver.account();
    caa.set("alice.test", [`0 issue ca.example; accounturi=${alice.account}`]);
    caa.set("dns01.test", ["0 issue ca.example; validationmethods=dns-01"]);
    caa.set("http01.test", ["0 issue ca.example; validationmethods=http-01"]);
    for (const [who, name, status] of [
      [alice, "alice.test", "valid"],
      [bob, "alice.test", "invalid"],
      [alice, "dns01.test", "valid"],
      [alice, "http01.test", "invalid"],
    ] as const) {
      const [authorization] = await prove(who, await who.newOrder(dns(name)));
      t.equal(authorization?.status, status, name);
    }
  });

  await t.test(
    "R8659-5 R8659-2 at finalize: not while the check is fresh, then for every name of the order",
    async (t) => {
      const names = ["one.again.test", "two.again.test", "three.again.test", "*.four.again.test"];
      const order = await alice.newOrder(...names.map(dns));
      t.ok((await prove(alice, order)).every(({ status }) => status === "valid"));
      server.questions.length = 0;
      clock.aheadMs = 8 * hour;
      caa.set("two.again.test", ["0 issue other.example"]);
      caa.set("four.again.test", ["0 issue ca.example", "0 issuewild ;"]);
      const reply = await finalize(order, ...names);
      refused(t, reply, 403, "caa");
      t.match(reply.json()["subproblems"], [
        { type: error("caa"), identifier: dns("two.again.test") },
        { type: error("caa"), identifier: dns("*.four.again.test") },
      ]);
      const bases = names.map((name) => name.replace("*.", ""));
      t.same(
        caaQuestions()
          .filter((name) => bases.includes(name))
          .toSorted(),
        bases.toSorted(),
        "each name once, not one name four times",
      );
      t.equal((await alice.readOrder(order.url)).status, "ready", "and the order stays as it is");

      caa.set("two.again.test", "SERVFAIL");
      caa.delete("four.again.test");
      refused(t, await finalize(order, ...names), 400, "dns");
      caa.delete("two.again.test");
      t.equal((await finalize(order, ...names)).json()["status"], "valid");

      clock.aheadMs = 0;
      const fresh = await alice.newOrder(dns("fresh.test"));
      await prove(alice, fresh);
      server.questions.length = 0;
      clock.aheadMs = 6 * hour;
      t.equal((await finalize(fresh, "fresh.test")).json()["status"], "valid");
      t.same(caaQuestions(), [], "six hours later nobody is asked");
      clock.aheadMs = 0;
    },
  );

  await t.test("R8659-4 our own resolver away at finalize: 503, and the order stays ready", async (t) => {
    const order = await alice.newOrder(dns("away.test"));
    await prove(alice, order);
    clock.aheadMs = 8 * hour;
    server.close();
    const reply = await finalize(order, "away.test");
    refused(t, reply, 503, "serverInternal");
    t.match(reply.headers["retry-after"], /^\d+$/);
    clock.aheadMs = 0;
    t.equal((await alice.readOrder(order.url)).status, "ready");
  });
});

t.test(
  "R8659-1 not configured: nobody is asked, and the directory names nobody; addresses have no CAA either way",
  async (t) => {
    const off = await world(t, {});
    t.notOk("caaIdentities" in off.driver.directory.meta);
    off.caa.set("test", ["0 issue ;"]);
    const alice = await off.driver.account();
    const order = await alice.newOrder(dns("off.test"));
    t.match(await off.prove(alice, order), [{ status: "valid" }]);
    t.same(off.caaQuestions(), []);
    t.equal((await alice.newOrder(ip("192.0.2.1"))).status, "pending");
  },
);
