import t from "tap";
import { acmeDriver, dns, type AcmeClient } from "../support/acmeDriver.ts";
import { http01Target, idOf, query, settled, show } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";

interface LimitJson {
  readonly limit: string;
  readonly enabled: boolean;
  readonly exceeded: readonly { readonly key: string; readonly retryAfterSeconds: number }[];
  readonly [member: string]: unknown;
}
interface PauseJson {
  readonly account: string;
  readonly identifier: { readonly type: string; readonly value: string };
  readonly failures: number;
}

t.test("limits and pauses over REST", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, {
    configuration: {
      validation: { http01Port: target.port, attempts: 1 },
      acme: {
        rateLimits: {
          ordersPerAccountPerMinute: 1,
          ordersPerAccountBurst: 2,
          failedValidationsPerIdentifierPerHour: 1,
          failedValidationsPerIdentifierBurst: 1,
          pauseAfterFailures: 1,
        },
      },
    },
  });
  const acme = await acmeDriver(t, ca);
  const [alice, bob] = [await acme.account(), await acme.account()];
  const send = (method: "GET" | "DELETE" | "POST", path: string, token = ca.operatorToken) =>
    ca.authority.server.inject({ method, url: `/api/v1${path}`, headers: { authorization: `Bearer ${token}` } });
  const order = async (client: AcmeClient, name: string): Promise<number> =>
    (await client.post(acme.directory.newOrder, { identifiers: [dns(name)] })).status;
  const limit = async (name: string): Promise<LimitJson | undefined> =>
    (await send("GET", "/limits")).json<{ limits: LimitJson[] }>().limits.find((one) => one.limit === name);
  const pauses = async (filter = ""): Promise<PauseJson[]> =>
    (await send("GET", `/pauses${filter}`)).json<{ pauses: PauseJson[] }>().pauses;
  const fail = async (client: AcmeClient, name: string): Promise<void> => {
    await send("DELETE", "/limits/ordersPerAccount");
    const authorization = await client.readAuthorization((await client.newOrder(dns(name))).authorizations[0]);
    const challenge = show(target, client, authorization);
    target.set(challenge.token, "wrong");
    await client.post(challenge.url, {});
    await settled(client, authorization.url);
  };

  t.test("R6.6-1 an operator sees the rates and who is over one, and resets them", async (t) => {
    t.match(await limit("requestsPerAddress"), { enabled: false, buckets: 0, exceeded: [] });
    t.match(await limit("ordersPerAccount"), { enabled: true, count: 1, periodSeconds: 60, burst: 2, refused: 0 });
    for (const client of [alice, bob])
      t.same(
        [await order(client, "a.localhost"), await order(client, "a.localhost"), await order(client, "a.localhost")],
        [201, 201, 429],
      );
    const state = await limit("ordersPerAccount");
    t.match(state, { buckets: 2, refused: 2 });
    t.same(state?.exceeded.map(({ key }) => key).sort(), [alice, bob].map(({ account }) => idOf(account)).sort());
    t.ok(state?.exceeded.every(({ retryAfterSeconds }) => retryAfterSeconds > 50 && retryAfterSeconds <= 60));
    t.same((await send("DELETE", `/limits/ordersPerAccount?key=${idOf(alice.account)}`)).json(), { reset: 1 });
    t.same([await order(alice, "a.localhost"), await order(bob, "a.localhost")], [201, 429]);
    t.same((await send("DELETE", "/limits/ordersPerAccount")).json(), { reset: 2 });
    t.equal(await order(bob, "a.localhost"), 201);
    t.match((await send("GET", "/metrics".replace("/metrics", "/limits"))).headers, { "cache-control": "no-store" });
    const { body } = await ca.authority.server.inject("/metrics");
    t.match(body, /^mayfly_limit_refused_total\{limit="ordersPerAccount"\} 3$/m);
    t.match(body, /^mayfly_limit_buckets\{limit="ordersPerAccount"\} 1$/m);
  });

  t.test("H-24 pauses are listed, and resumed by account, by identifier, or both", async (t) => {
    for (const name of ["x.localhost", "y.localhost"]) await fail(alice, name);
    await fail(bob, "x.localhost");
    t.equal((await pauses()).length, 3);
    t.match(await pauses(`?account=${idOf(bob.account)}`), [
      { account: idOf(bob.account), identifier: { type: "dns", value: "x.localhost" }, failures: 1 },
    ]);
    t.equal((await pauses("?type=dns&value=x.localhost")).length, 2);
    t.same(await pauses("?type=uri"), []);
    const first = (await send("GET", "/pauses?limit=2")).json<{ pauses: unknown[]; next: string }>();
    t.same([first.pauses.length, first.next], [2, "2"]);
    t.equal((await pauses("?limit=2&cursor=2")).length, 1);

    await send("DELETE", "/limits/ordersPerAccount");
    t.equal(await order(bob, "x.localhost"), 429);
    const one = `/pauses?account=${idOf(bob.account)}&value=x.localhost`;
    t.same((await send("DELETE", one)).json(), { resumed: 1 });
    t.same((await send("DELETE", one)).json(), { resumed: 0 });
    t.equal(await order(bob, "x.localhost"), 201, "what this process counted is forgotten as well");
    t.equal(await order(alice, "x.localhost"), 429, "another account's is not");
    t.same((await send("DELETE", `/pauses?account=${idOf(alice.account)}`)).json(), { resumed: 2 });
    t.same(await pauses(), []);
    const audit = await query(ca, "select actor from audit_entry where event = 'identifier.resumed'");
    t.same(
      audit.map(({ actor }) => actor),
      ["operator", "operator", "operator"],
    );
  });

  t.test("bad requests", async (t) => {
    const table: ["GET" | "DELETE" | "POST", string, number][] = [
      ["DELETE", "/limits/none", 404],
      ["DELETE", "/limits/__proto__", 404],
      ["DELETE", "/limits/ordersPerAccount?kye=1", 400],
      ["DELETE", `/limits/ordersPerAccount?key=${"k".repeat(3000)}`, 400],
      ["DELETE", "/limits", 405],
      ["GET", "/limits/ordersPerAccount", 405],
      ["DELETE", "/pauses", 400],
      ["DELETE", "/pauses?type=dns", 400],
      ["DELETE", "/pauses?account=1", 400],
      ["DELETE", "/pauses?value=%00", 400],
      ["GET", "/pauses?limit=1001", 400],
      ["GET", "/pauses?limit=0", 400],
      ["GET", "/pauses?cursor=-1", 400],
      ["GET", "/pauses?type=email", 400],
      ["POST", "/pauses", 405],
    ];
    for (const [method, path, status] of table)
      t.equal((await send(method, path)).statusCode, status, `${method} ${path.slice(0, 80)}`);
    const detail = (await send("GET", "/pauses?limit=0")).json<{ detail: string }>().detail;
    t.equal(detail, "limit must be a whole number from 1 to 1000");
    const broken = await ca.authority.server.inject({
      method: "POST",
      url: "/api/v1/blocked-keys",
      headers: { authorization: `Bearer ${ca.operatorToken}`, "content-type": "application/json" },
      payload: "{",
    });
    t.match(broken.json(), { status: 400, type: "urn:mayfly:error:invalidRequest", detail: "the body is not JSON" });
    for (const [method, path] of [
      ["GET", "/limits"],
      ["DELETE", "/limits/ordersPerAccount"],
      ["GET", "/pauses"],
      ["DELETE", "/pauses?value=a"],
    ] as const)
      t.equal((await send(method, path, "x".repeat(43))).statusCode, 401, `${method} ${path} without the token`);
  });
});
