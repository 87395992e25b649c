/**
 * H-01a, generated from the table of routes: every route with every kind of object, asked by another account of the same directory and by
 * one of another directory, answers like one with an object that does not exist, costs the same statements, and changes nothing.
 * A route, a parameter or a payload that is not known here fails the test.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import t, { type Test } from "tap";
import { resources } from "../../src/acme/routes.ts";
import { acmePaths } from "../../src/acme/urls.ts";
import {
  acmeDriver,
  dns,
  flattened,
  clientKey,
  uri,
  type AcmeClient,
  type AcmeDriver,
  type Reply,
} from "../support/acmeDriver.ts";
import {
  attested,
  attesting,
  certificateKey,
  http01Target,
  idOf,
  issued,
  leafOf,
  query,
  validate,
  type Attesting,
} from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { refused } from "../support/refused.ts";

t.setTimeout(240_000);

/** Resources that anybody may have, with the section that says so; they name no account. */
const publicResources: Readonly<Record<string, string>> = {
  directory: "RFC 8555 §7.1.1",
  newNonce: "RFC 8555 §7.2",
  renewalInfo: "RFC 9773 §4.1",
};

/** What may be sent to a resource with a parameter: what reads, and what would change something if it were the owner's. */
const payloads: Readonly<Record<string, (subject: Attesting) => readonly unknown[]>> = {
  account: () => [undefined, {}, { status: "deactivated" }, { contact: ["mailto:mallory@example.com"] }],
  orders: () => [undefined],
  order: () => [undefined],
  finalize: ({ key, spiffeId }) => [{ csr: key.csr({ uri: [spiffeId] }) }, { csr: key.csr({ dns: ["b.localhost"] }) }],
  authorization: () => [undefined, { status: "deactivated" }],
  challenge: ({ key }) => [
    undefined,
    {},
    { spki: key.spki, evidence: [{ format: "jwt", ref: "dev", value: "e30.e30.AA" }] },
  ],
  certificate: () => [undefined],
  alternate: () => [undefined],
};

/** Resources without a parameter name objects in their payload, or none; each has a test below or one that is named here. */
const withoutParameter: Readonly<Record<string, string>> = {
  newAccount: "makes an account for the key that signs; names no object",
  newAuthz: "names no object; what it makes is the signer's",
  newOrder: "an order of one account never takes up another's authorization: below",
  revokeCert: "shows the certificate itself: below",
  keyChange: "names its own account: below",
};

const parametersOf = (path: string): string[] => [...path.matchAll(/:(\w+)/g)].map(([, name]) => name ?? "");
const types = [
  "http-01",
  "dns-01",
  "tls-alpn-01",
  "workload-attest-01",
  "dns-account-01",
  "dns-persist-01",
  "tkauth-01",
];

/** What stands behind the id of an object: a chain is the server's own, and nobody's. */
const secondOf = (parameters: readonly string[]): readonly string[] =>
  parameters.includes("type") ? types : parameters.includes("chain") ? ["0123456789abcdef"] : [""];

/** What may be seen of a reply, without what differs by chance. */
const shape = ({ status, headers, text }: Reply): object => {
  const { date: _date, "replay-nonce": nonce, ...rest } = headers;
  return {
    status,
    text: text.replaceAll(/[0-9a-f-]{36}|[0-9a-f]{32,40}/g, "ID"),
    headers: { ...rest, nonce: typeof nonce },
  };
};

t.test("the table of routes is covered: each row, each parameter", async (t) => {
  const named = new Set(resources.map(({ name }) => name as string));
  for (const name of Object.keys(acmePaths)) {
    t.ok(named.has(name) !== name in publicResources, `${name} is a row of the table, or public with a reason`);
  }
  for (const { name } of resources) {
    const parameters = parametersOf(acmePaths[name]);
    const known = parameters.length === 0 ? withoutParameter : payloads;
    t.ok(name in known, `${name}: this test says what to send`);
    for (const parameter of parameters) {
      t.ok(
        ["account", "order", "authorization", "type", "serial", "chain"].includes(parameter),
        `:${parameter} has objects here`,
      );
    }
  }
});

t.test("objects of another account", async (t) => {
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, {
    configuration: {
      validation: { http01Port: target.port },
      acme: { directories: [{ name: "servers", profiles: ["server"] }] },
    },
  });
  const main = await acmeDriver(t, ca);
  const servers = await acmeDriver(t, { ...ca, directoryUrl: `${ca.url}/acme/servers/directory` });
  const alice = await main.account({ contact: ["mailto:alice@example.com"] });
  const attacker = await main.account();
  const stranger = await servers.account();

  const valid = await issued(ca, alice);
  const ready = await attested(ca, alice);
  const pending = await attesting(ca, alice);
  const named = await alice.newOrder(dns("a.localhost"), dns("b.localhost"));
  await validate(target, alice, named);
  const open = await alice.newOrder(dns("c.localhost"));
  const dead = await alice.newOrder(dns("d.localhost"));
  await alice.post(dead.authorizations[0], { status: "deactivated" });
  const alone = await alice.newAuthz(dns("e.localhost"));
  const orders = [valid.order, ready.order, pending.order, named, open, dead];
  const authorizations = [...orders.flatMap((order) => order.authorizations), alone.url];

  /** Ids of every kind: each is tried in every place, also where its kind does not belong. */
  const ids: Readonly<Record<string, readonly string[]>> = {
    account: [idOf(alice.account)],
    order: orders.map(({ url }) => idOf(url)),
    authorization: authorizations.map(idOf),
    serial: [idOf(valid.certificateUrl)],
  };
  const everyId = Object.values(ids).flat();
  const absentOf = (id: string): string =>
    id.includes("-") ? randomUUID().replace(/^.{15}/, id.slice(0, 15)) : "4f".repeat(id.length / 2);

  const before = await snapshot();
  async function snapshot(): Promise<unknown> {
    const tables = ["account", "acme_order", "acme_authorization", "certificate"];
    return Promise.all(tables.map((table) => query(ca, `select * from ${table} order by 1`)));
  }
  const statements = async (): Promise<number> => {
    const { body } = await main.request(`${ca.url}/metrics`);
    return Number(/^mayfly_sql_statements (\d+)/m.exec(body.toString())?.[1] ?? Number.NaN);
  };

  /** A server that has just started makes its first lists, statement after statement. */
  async function quiet(): Promise<void> {
    for (let seconds = 0; seconds < 60; seconds++) {
      const start = await statements();
      await pause(1000);
      if ((await statements()) - start <= 30) return;
    }
    throw new Error("the server has always something to do");
  }
  await quiet();

  const urlOf = (prefix: string, path: string, values: readonly string[]): string => {
    let next = 0;
    return `${ca.url}${prefix}${path.replaceAll(/:\w+/g, () => values[next++] ?? "")}`;
  };

  async function alike(t: Test, who: AcmeClient, theirs: string, absent: string, payload: unknown): Promise<void> {
    const [foreign, none] = [await who.post(theirs, payload), await who.post(absent, payload)];
    const what = `${new URL(theirs).pathname} ${JSON.stringify(payload)?.slice(0, 40)}`;
    if (foreign.status !== 404 || none.status !== 404) {
      refused(t, foreign, 404, "malformed", what);
      refused(t, none, 404, "malformed", `${what}: made up`);
    }
    t.same(shape(foreign), shape(none), what);
  }

  const cases: [who: string, client: AcmeClient, prefix: string][] = [
    ["another account", attacker, "/acme"],
    ["an account of another directory", stranger, "/acme/servers"],
  ];
  for (const { name } of resources) {
    const path: string = acmePaths[name];
    const parameters = parametersOf(path);
    if (parameters.length === 0) continue;
    for (const [who, client, prefix] of cases) {
      t.test(`H-01a H-23 ${name} by ${who}: as if there were none`, async (t) => {
        for (const id of everyId) {
          const absent = absentOf(id);
          for (const type of secondOf(parameters)) {
            for (const payload of payloads[name]?.(pending) ?? []) {
              await alike(t, client, urlOf(prefix, path, [id, type]), urlOf(prefix, path, [absent, type]), payload);
            }
          }
        }
      });
    }
    t.test(`H-23 ${name}: what is another's costs what does not exist costs`, async (t) => {
      const [parameter = ""] = parameters;
      const [id = ""] = ids[parameter] ?? [];
      const type = pending.challenge.type;
      const cost = async (value: string, payload: unknown): Promise<number> => {
        const costs: number[] = [];
        // A job in the background may add its own, and some take a while: the rounds lie apart.
        for (let round = 0; round < 12; round++) {
          await pause(15);
          const start = await statements();
          await attacker.post(urlOf("/acme", path, [value, type]), payload);
          costs.push((await statements()) - start);
        }
        return Math.min(...costs);
      };
      for (const payload of payloads[name]?.(pending) ?? []) {
        const [theirs, none] = [await cost(id, payload), await cost(absentOf(id), payload)];
        t.equal(theirs, none, `${theirs} statements`);
        if (parameter !== "account") t.ok(theirs > 0, "they are counted"); // Whose account it is, the URL itself tells.
      }
    });
  }

  t.test("H-01a parents and children that do not belong together are none, for their owner too", async (t) => {
    const uriAuthorization = pending.authorization;
    const dnsAuthorization = await alice.readAuthorization(open.authorizations[0]);
    const at = (authorization: string, type: string) => `${ca.url}/acme/challenge/${idOf(authorization)}/${type}`;
    refused(t, await alice.post(at(uriAuthorization.url, "http-01"), {}), 404, "malformed", "a type it does not have");
    refused(t, await alice.post(at(dnsAuthorization.url, "workload-attest-01"), {}), 404, "malformed", "the other way");
    refused(t, await alice.post(at(open.url, "http-01"), {}), 404, "malformed", "an order's id as an authorization's");
    refused(t, await alice.post(`${ca.url}/acme/order/${idOf(alone.url)}`, undefined), 404, "malformed");
    const foreign = await attacker.newOrder(dns("x.localhost"));
    for (const after of [idOf(foreign.url), randomUUID()]) {
      const reply = await alice.postAsGet(`${alice.account}/orders?after=${after}`);
      t.ok(
        reply.status === 404 || (reply.status === 200 && !reply.text.includes(idOf(foreign.url))),
        `after ${reply.status}`,
      );
    }
    refused(t, await attacker.postAsGet(`${alice.account}/orders?after=${idOf(open.url)}`), 404, "malformed");
  });

  t.test("H-01a H-03 resources without a parameter do not reach another's objects", async (t) => {
    for (const [, client] of cases) {
      const order = await client.newOrder(dns("a.localhost"));
      t.equal(order.status, "pending", "what alice proved counts for alice");
      t.notOk(authorizations.some((url) => idOf(order.authorizations[0]) === idOf(url)));
    }
    const certificate = leafOf(valid.chain);
    for (const [driver, client] of [
      [main, attacker],
      [servers, stranger],
    ] as [AcmeDriver, AcmeClient][]) {
      refused(t, await client.post(driver.directory.revokeCert, { certificate }), 403, "unauthorized", "revokeCert");
      const [fresh, url] = [clientKey(), driver.directory.keyChange];
      const change = { account: alice.account, oldKey: alice.key.jwk };
      const inner = flattened(fresh, { alg: fresh.alg, jwk: fresh.jwk, url }, change);
      refused(t, await client.post(url, inner), 400, "malformed", "keyChange of another account");
    }
  });

  t.test("H-01a the owner still has it all, and nothing of it changed", async (t) => {
    const own = (rows: unknown): unknown =>
      (rows as Record<string, unknown>[][]).map((table) =>
        table.filter((row) => [row["id"], row["account_id"]].includes(idOf(alice.account))),
      );
    t.same(own(await snapshot()), own(before));
    const wanted = ["valid", "ready", "pending", "ready", "pending", "invalid"];
    t.same(await Promise.all(orders.map(async ({ url }) => (await alice.readOrder(url)).status)), wanted);
    const spiffe = await alice.newOrder(uri(pending.spiffeId));
    t.equal(spiffe.status, "pending");
    t.equal(
      (await alice.post(named.finalize, { csr: certificateKey().csr({ dns: ["a.localhost", "b.localhost"] }) })).status,
      200,
    );
  });
});
