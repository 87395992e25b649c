/** H-24: an account that fails, and fails, and one that wants everything at once. */
import t from "tap";
import { dns01 } from "../../src/acme/challenges/dns01.ts";
import { createTurns } from "../../src/acme/limits/turns.ts";
import { loadConfiguration } from "../../src/config/load.ts";
import { acmeDriver, dns, type AcmeClient, type Authorization, type Reply } from "../support/acmeDriver.ts";
import { challengeOf, http01Target, query, settled, show, validate } from "../support/acmeFlows.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { startDnsServer } from "../support/dnsServer.ts";
import { refused } from "../support/refused.ts";
import { httpTarget, plainly, testOutbound } from "../support/validationTargets.ts";

t.test("H-24 validations that fail", async (t) => {
  const clock = { offsetMs: 0 };
  const target = await http01Target(t);
  const ca = await certificateAuthority(t, {
    now: () => new Date(Date.now() + clock.offsetMs),
    configuration: {
      validation: { http01Port: target.port, attempts: 1 },
      acme: {
        rateLimits: {
          failedValidationsPerIdentifierPerHour: 60,
          failedValidationsPerIdentifierBurst: 3,
          pauseAfterFailures: 5,
        },
      },
    },
  });
  const acme = await acmeDriver(t, ca);
  const alice = await acme.account();
  const bob = await acme.account();
  const newAuthz = `${ca.url}/acme/new-authz`;
  const order = (client: AcmeClient, ...names: string[]): Promise<Reply> =>
    client.post(acme.directory.newOrder, { identifiers: names.map(dns) });
  const respondWrongly = async (client: AcmeClient, authorization: Authorization): Promise<void> => {
    const challenge = show(target, client, authorization);
    target.set(challenge.token, "something else");
    await client.post(challenge.url, {});
    t.equal((await settled(client, authorization.url)).status, "invalid");
  };
  const fail = async (client: AcmeClient, name: string): Promise<void> => {
    const { authorizations } = (await order(client, name)).json() as { authorizations: string[] };
    await respondWrongly(client, await client.readAuthorization(authorizations[0] ?? ""));
  };
  const counted = (client: AcmeClient, name: string) =>
    query(
      ca,
      "select failures, paused_at is not null as paused from validation_failure where account_id = $1 and identifier_value = $2",
      [client.account.split("/").at(-1), name],
    );

  t.test(
    "H-24 over the rate, that account gets no new order for that identifier; a success is no failure",
    async (t) => {
      await validate(target, alice, await alice.newOrder(dns("bad.localhost")));
      for (let i = 0; i < 3; i++) await fail(alice, "bad.localhost");
      const over = await order(alice, "good.localhost", "bad.localhost");
      t.match(refused(t, over, 429, "rateLimited")["detail"], /failed validations/);
      t.equal(over.headers["retry-after"], "60");
      t.equal((await order(alice, "good.localhost")).status, 201, "another identifier");
      t.equal((await order(bob, "bad.localhost")).status, 201, "another account");
      refused(t, await alice.post(newAuthz, { identifier: dns("bad.localhost") }), 429, "rateLimited", "newAuthz too");
      clock.offsetMs += 60_000;
      t.equal((await order(alice, "bad.localhost")).status, 201);
      t.same(await counted(alice, "bad.localhost"), [{ failures: 3, paused: false }]);
    },
  );

  t.test("H-24 so many in a row pause the pair, for every process and until it is mended", async (t) => {
    await validate(target, alice, await alice.newOrder(dns("bad.localhost")));
    t.same(await counted(alice, "bad.localhost"), [], "a success begins a new row");
    for (let i = 0; i < 5; i++) {
      clock.offsetMs += 3_600_000;
      await fail(alice, "bad.localhost");
    }
    t.same(await counted(alice, "bad.localhost"), [{ failures: 5, paused: true }]);
    clock.offsetMs += 3_600_000;
    const paused = await order(alice, "good.localhost", "bad.localhost");
    const { detail } = refused(t, paused, 429, "rateLimited", "paused");
    t.match(detail, /paused .*dns bad\.localhost.*newAuthz.*operator/, "says which, and how to resume");
    t.notMatch(detail, /good\.localhost/);
    t.equal(paused.headers["retry-after"], "86400");
    t.match(paused.headers.link, /rel="help"/);
    t.equal((await order(alice, "good.localhost")).status, 201, "another identifier");
    t.equal((await order(bob, "bad.localhost")).status, 201, "another account");
    t.match(await query(ca, "select detail from audit_entry where event = 'identifier.paused'"), [
      { detail: { type: "dns", value: "bad.localhost", failures: 5 } },
    ]);
  });

  t.test("H-24 a pre-authorization that becomes valid resumes it, one that fails does not", async (t) => {
    const authorize = async (): Promise<Authorization> => {
      const reply = await alice.post(newAuthz, { identifier: dns("bad.localhost") });
      t.equal(reply.status, 201, reply.text);
      return await alice.readAuthorization(String(reply.headers.location));
    };
    await respondWrongly(alice, await authorize());
    refused(t, await order(alice, "bad.localhost"), 429, "rateLimited", "still paused");
    const authorization = await authorize();
    await alice.post(show(target, alice, authorization).url, {});
    t.equal((await settled(alice, authorization.url)).status, "valid");
    t.same(await counted(alice, "bad.localhost"), []);
    t.equal((await order(alice, "bad.localhost")).status, 201, "resumed");
  });
});

t.test("H-24 validations of one account at once are bounded, and another account does not wait for them", async (t) => {
  let inside = 0;
  let most = 0;
  const held: (() => void)[] = [];
  const port = await httpTarget(t, (request, response) => {
    inside += 1;
    most = Math.max(most, inside);
    const answer = (): void => {
      inside -= 1;
      response.writeHead(404).end();
    };
    if (request.headers.host?.startsWith("bob")) answer();
    else held.push(answer);
  });
  const ca = await certificateAuthority(t, {
    configuration: {
      validation: { http01Port: port, attempts: 1, timeoutMs: 10_000, patienceMs: 0 },
      acme: { rateLimits: { validationsPerAccount: 2 } },
    },
  });
  const acme = await acmeDriver(t, ca);
  const [alice, bob] = [await acme.account(), await acme.account()];
  const begin = async (client: AcmeClient, name: string): Promise<string> => {
    const authorization = await client.readAuthorization((await client.newOrder(dns(name))).authorizations[0]);
    const reply = await client.post(challengeOf(authorization, "http-01").url, {});
    t.equal(reply.json()["status"], "processing", "whoever waits is processing");
    return authorization.url;
  };
  const urls = await Promise.all(Array.from({ length: 8 }, (_, i) => begin(alice, `a${i}.localhost`)));
  const other = await begin(bob, "bob.localhost");
  t.equal((await settled(bob, other)).status, "invalid", "another account's is done meanwhile");
  t.ok(held.length <= 2 && most <= 3, `${held.length} of one account at the target`);
  const release = setInterval(() => held.splice(0).forEach((answer) => answer()), 20);
  t.teardown(() => clearInterval(release));
  for (const url of urls) t.equal((await settled(alice, url)).status, "invalid", "and each gets its turn");
  t.ok(most <= 3, `${most} at most`);
});

t.test(
  "H-24 three accounts with a hundred silent names each, by default: another's lookup does not wait",
  async (t) => {
    const server = await startDnsServer((name) => (name.endsWith("silent.test") ? "silence" : []));
    t.teardown(() => server.close());
    const outbound = testOutbound({ dnsResolver: server.address, timeoutMs: 2_000 });
    const turns = createTurns(loadConfiguration(undefined, {}).acme.rateLimits.validationsPerAccount);
    const stop = new AbortController();
    const attempt = async (account: string, value: string) => {
      const leave = await turns.take(account, stop.signal);
      const validation = {
        ...plainly,
        identifier: { type: "dns", value },
        token: "t",
        keyAuthorization: "t.k",
      } as const;
      return dns01(validation, outbound, stop.signal).finally(leave);
    };
    const crowd = Array.from({ length: 300 }, (_, index) => attempt(`${index % 3}`, `n${index}.silent.test`));
    const ended = Promise.allSettled(crowd);
    const begun = performance.now();
    t.match(await attempt("victim", "good.test"), { problem: "unauthorized", detail: /no TXT record/ }, "an answer");
    t.ok(performance.now() - begun < 300, "at once");
    stop.abort();
    await ended;
  },
);
