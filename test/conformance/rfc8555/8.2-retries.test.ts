/** RFC 8555 §8.2: the server tries again, tells of it, and lets the client ask for it. And what is not the client's fault ends nothing. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { acmeDriver, dns, type AcmeClient, type Challenge } from "../../support/acmeDriver.ts";
import { certificateKey, challengeOf, settled } from "../../support/acmeFlows.ts";
import { certificateAuthority, freePort } from "../../support/certificateAuthority.ts";
import { startDnsServer } from "../../support/dnsServer.ts";
import { httpTarget, type Teardown } from "../../support/validationTargets.ts";

const isRetryAfter = /^[1-9]\d*$/;

/** A web server of every name that breaks connections until it is told to answer with the key authorization. */
async function brokenTarget(t: Teardown, failures: number) {
  const state = { asked: 0, left: failures, thumbprint: "" };
  const port = await httpTarget(t, (request, response) => {
    state.asked += 1;
    state.left -= 1;
    const token = request.url?.split("/").at(-1) ?? "";
    if (state.left >= 0) response.socket?.destroy();
    else response.end(`${token}.${state.thumbprint}`);
  });
  return { state, port };
}

async function begin(alice: AcmeClient, name: string, type = "http-01") {
  const order = await alice.newOrder(dns(name));
  const [url] = order.authorizations;
  const challenge = challengeOf(await alice.readAuthorization(url), type);
  const read = async () => {
    const reply = await alice.postAsGet(challenge.url);
    return { challenge: reply.json() as unknown as Challenge, retryAfter: reply.headers["retry-after"] ?? "" };
  };
  return { order, url, challenge, read };
}

t.test("R8.2-1 the server tries again: processing, the errors so far, Retry-After; then valid", async (t) => {
  const { state, port } = await brokenTarget(t, 2);
  const validation = { http01Port: port, attempts: 3, retryDelayMs: 700, patienceMs: 200 };
  const ca = await certificateAuthority(t, { configuration: { validation } });
  const alice = await (await acmeDriver(t, ca)).account();
  state.thumbprint = alice.key.thumbprint;
  const { order, url, challenge, read } = await begin(alice, "twice.localhost");

  const reply = await alice.post(challenge.url, {});
  const error = { type: "urn:ietf:params:acme:error:connection", detail: String, subproblems: Array };
  t.match(reply.json(), { status: "processing", error });
  t.match(reply.headers["retry-after"], isRetryAfter);
  t.notOk("retryAt" in reply.json(), "what is ours is not shown");
  const first = await read();
  t.match(first.challenge, { status: "processing", error });
  t.match(first.retryAfter, isRetryAfter);
  const authorization = await alice.postAsGet(url);
  t.match(authorization.json(), { status: "pending" });
  t.match(authorization.headers["retry-after"], isRetryAfter);

  while (state.asked < 2) await sleep(20);
  await sleep(100);
  const second = await read();
  t.equal(second.challenge.error?.subproblems?.length, 2, "an entry for each failed query");
  t.equal((await settled(alice, url)).status, "valid", "without the client's doing");
  t.equal(state.asked, 3);
  const done = (await read()).challenge;
  t.match(done, { status: "valid", validated: String });
  t.notOk("error" in done || "retryAt" in done);
  const finalized = await alice.post(order.finalize, { csr: certificateKey().csr({ dns: ["twice.localhost"] }) });
  t.equal(finalized.json()["status"], "valid");
});

t.test("R8.2-1 when it has given up: invalid, with every failure", async (t) => {
  const { state, port } = await brokenTarget(t, 100);
  const validation = { http01Port: port, attempts: 3, retryDelayMs: 20 };
  const ca = await certificateAuthority(t, { configuration: { validation } });
  const alice = await (await acmeDriver(t, ca)).account();
  const { order, challenge, url, read } = await begin(alice, "never.localhost");
  await alice.post(challenge.url, {});
  t.equal((await settled(alice, url)).status, "invalid");
  const { challenge: ended, retryAfter } = await read();
  t.match(ended, { status: "invalid", error: { type: "urn:ietf:params:acme:error:connection" } });
  t.equal(ended.error?.subproblems?.length, 3);
  t.equal(retryAfter, "");
  t.match(await alice.readOrder(order.url), { status: "invalid", error: { type: /:connection$/ } });
  await alice.post(challenge.url, {});
  t.equal(state.asked, 3, "and a further response starts nothing");
});

t.test(
  "R8.2-1 a further response asks for the next attempt at once, and no more often than once a second",
  async (t) => {
    const { state, port } = await brokenTarget(t, 1);
    const validation = { http01Port: port, attempts: 2, retryDelayMs: 60_000, patienceMs: 100 };
    const ca = await certificateAuthority(t, { configuration: { validation } });
    const driver = await acmeDriver(t, ca);
    const alice = await driver.account();
    state.thumbprint = alice.key.thumbprint;
    const { challenge, url, read } = await begin(alice, "hurry.localhost");
    t.match((await alice.post(challenge.url, {})).json(), { status: "processing" });
    const { retryAfter } = await read();
    t.ok(Number(retryAfter) > 55, `a minute, and so says Retry-After: ${retryAfter}`);

    const begun = Date.now();
    const replies = await Promise.all(Array.from({ length: 5 }, () => alice.post(challenge.url, {})));
    t.same(new Set(replies.map((reply) => reply.json()["status"])), new Set(["processing"]));
    t.equal(state.asked, 1, "not at once");
    t.equal((await settled(alice, url)).status, "valid", "and not in a minute");
    t.ok(Date.now() - begun < 5_000);
    t.equal(state.asked, 2, "five requests made one query");
  },
);

t.test(
  "H-15a H-29 the CA's resolver away: processing, no error, no invalid order; when it is back, valid",
  async (t) => {
    const port = await freePort();
    const validation = {
      dnsResolver: `127.0.0.1:${port}`,
      attempts: 2,
      retryDelayMs: 20,
      patienceMs: 300,
      timeoutMs: 600,
    };
    const ca = await certificateAuthority(t, { configuration: { validation } });
    const alice = await (await acmeDriver(t, ca)).account();
    const flows = await Promise.all(
      ["dns-01", "http-01"].map(async (type) => await begin(alice, `${type}.example`, type)),
    );
    const [byDns, byHttp] = flows;
    if (byDns === undefined || byHttp === undefined) throw new Error("two flows");
    for (const { challenge } of flows) t.match((await alice.post(challenge.url, {})).json(), { status: "processing" });
    await sleep(1_500);
    for (const { order, read } of flows) {
      const { challenge, retryAfter } = await read();
      t.equal(challenge.status, "processing");
      t.notOk("error" in challenge, "nothing was found out");
      t.match(retryAfter, isRetryAfter);
      t.equal((await alice.readOrder(order.url)).status, "pending");
    }
    const digest = createHash("sha256").update(`${byDns.challenge.token}.${alice.key.thumbprint}`).digest("base64url");
    const answer = (_: string, type: string) =>
      type === "TXT" ? [{ type, data: digest } as const] : ("NXDOMAIN" as const);
    const resolver = await startDnsServer(answer, "127.0.0.1", { port });
    t.teardown(() => resolver.close());
    for (const { challenge } of flows) await alice.post(challenge.url, {});
    t.equal((await settled(alice, byDns.url)).status, "valid");
    t.match((await settled(alice, byHttp.url)).status, "invalid", "a name that does not exist is the client's trouble");
  },
);
