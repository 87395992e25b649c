/** H-31: a server that logs all it can, and strangers who write what they like: every line is the server's own, and no secret is in any. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { acmeDriver, dns, uri } from "../support/acmeDriver.ts";
import { bindingOf, certificateKey, challengeOf, spiffeIdOf } from "../support/acmeFlows.ts";
import { openDevIssuer } from "../../src/development/devIssuer.ts";
import { embeddedDatabaseUrl, serverProcess } from "../support/serverProcess.ts";

t.setTimeout(120_000);

const forged = '{"level":30,"msg":"INJECTED"}';
const breaks = ["\r\n", "\n", "\r", "\u0085", "\u2028", "\u001b[2J"];

t.test("H-31 at the most talkative level: one line per entry, and no secret", async (t) => {
  const server = await serverProcess(t, { MAYFLY_LOG_LEVEL: "debug" });
  const driver = await acmeDriver(t, server);
  const { directory } = driver;
  const alice = await driver.account();

  // Text of strangers, wherever it can be put.
  for (const one of breaks) {
    const text = `x${one}${forged}`;
    const percent = encodeURIComponent(text);
    await driver.request(`${server.url}/acme/order/${percent}`, { method: "POST", headers: { "user-agent": percent } });
    await driver.request(`${server.url}/${percent}?${percent}=${percent}`);
    await driver.request(`${server.url}/api/v1/certificates?dnsName=${percent}`, {
      headers: { authorization: `Bearer ${percent}` },
    });
    await driver.client().register({ contact: [`mailto:${text}`] });
    await alice.post(directory.newOrder, { identifiers: [dns(text)], profile: text });
    await alice.post(directory.newOrder, { identifiers: [uri(spiffeIdOf(text))] });
    await alice.post(
      directory.newOrder,
      { identifiers: [dns("a.localhost")] },
      { header: { [text]: text, kid: text } },
    );
    const order = await alice.newOrder(dns("a.localhost"));
    const authorization = await alice.readAuthorization(order.authorizations[0]);
    await alice.post(authorization.url, { status: text });
    await alice.post(order.finalize, { csr: text });
  }
  await driver.request(`${server.url}/acme/new-order`, {
    method: "POST",
    headers: { "content-type": "application/jose+json", "user-agent": "\u00ff".repeat(200) },
    body: `{"protected":"${forged}`,
  });

  // Evidence: one token that is refused, one that counts; both are as good as passwords while they live.
  const issuer = await openDevIssuer(join(server.dataDir, "dev-issuer.jwk"));
  const tokens: string[] = [];
  for (const subject of ["somebody-else", "workload"]) {
    const order = await alice.newOrder(uri(spiffeIdOf("workload")));
    const challenge = challengeOf(await alice.readAuthorization(order.authorizations[0]), "workload-attest-01");
    const key = certificateKey();
    const audience = `${server.url}/wa/${bindingOf(challenge, alice.key, key.spki)}`;
    const value = await issuer.mint({ subject, audience, issuer: `${server.url}/dev`, now: new Date() });
    tokens.push(value);
    await alice.post(challenge.url, { spki: key.spki, evidence: [{ format: "jwt", ref: "dev", value }] });
    await alice.post(order.finalize, { csr: key.csr({ uri: [spiffeIdOf("workload")] }) });
  }
  const operatorToken = readFileSync(join(server.dataDir, "operator-token"), "utf8").trim();
  await server.get("/api/v1/certificates");
  for (const value of tokens) {
    const asked = { spiffeId: spiffeIdOf("workload"), evidence: [{ format: "jwt", ref: "dev", value }] };
    const explained = await driver.request(`${server.url}/api/v1/policy/explain`, {
      method: "POST",
      headers: { authorization: `Bearer ${operatorToken}`, "content-type": "application/json" },
      body: JSON.stringify(asked),
    });
    t.match(
      explained.json(),
      { evidence: [{ verified: false }] },
      "explained, as evidence that is bound to something else",
    );
    t.notOk(explained.text.includes(value.split(".")[2] ?? value), "and not repeated");
  }
  await driver.request(`${server.url}/api/v1/certificates`, { headers: { authorization: `Basic ${operatorToken}` } });
  await new Promise((resolve) => setTimeout(resolve, 2_500)); // The outbox tells what it has to tell.
  const databasePassword = new URL(embeddedDatabaseUrl(server)).password;
  t.equal(await server.stop("SIGTERM"), 0);

  const printed = server.printed.stdout + server.printed.stderr;
  const lines = printed.split("\n");
  t.ok(lines.length > 60, `${lines.length} lines`);
  t.ok(printed.includes("certificate.issued"), "events are logged at all");
  t.same(
    [...new Set(printed)].filter((one) => one !== "\n" && /\p{Cc}/u.test(one)),
    [],
    "no control characters",
  );
  for (const line of lines) {
    if (!line.includes("INJECTED")) continue;
    const entry = JSON.parse(line) as { msg?: string; pid?: number };
    t.not(entry.msg, "INJECTED", "no entry is a stranger's");
    t.equal(entry.pid, server.pid, "it only quotes what they sent");
  }
  const passphrase = readFileSync(join(server.dataDir, "key-passphrase"), "utf8").trim();
  const { d } = JSON.parse(readFileSync(join(server.dataDir, "dev-issuer.jwk"), "utf8")) as { d: string };
  const secrets = { operatorToken, passphrase, "the evidence issuer's key": d, databasePassword };
  for (const [what, secret] of Object.entries(secrets)) {
    t.ok(secret.length >= 16, `${what} is one`);
    t.notOk(printed.includes(secret), `${what} is not there`);
  }
  for (const token of tokens) {
    t.notOk(printed.includes(token.split(".")[2] ?? token), "nor is a token's signature");
    t.notOk(printed.includes(token.split(".")[1] ?? token), "nor are its claims");
  }
  t.notMatch(printed, /PRIVATE KEY/);
});
