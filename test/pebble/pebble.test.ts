/** The launcher as clients' own tests use it: a program with Pebble's command line, environment, configuration, paths and management interface. */
import { X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { acmeDriver, clientKey, dns, type AcmeClient, type AcmeDriver, type Order } from "../support/acmeDriver.ts";
import { certificateIdOf, certificateKey, challengeOf } from "../support/acmeFlows.ts";
import { freePort } from "../support/certificateAuthority.ts";
import { selfSigned } from "../support/challengeCertificate.ts";
import { background, eventually } from "../support/clientGround.ts";
import { repository, run } from "../support/program.ts";
import { dataPrefix } from "./start.ts";

t.setTimeout(120_000);

const launcher = join(repository, "test/pebble/pebble");

interface Launched {
  readonly acme: AcmeDriver;
  /** GET or POST on the management interface. */
  readonly management: (path: string, body?: object) => Promise<{ status: number; text: string }>;
  readonly pid: number;
  readonly signal: (name: NodeJS.Signals) => void;
}

async function launch(t: Test, env: Record<string, string>, more: object = {}): Promise<Launched> {
  const { key, cert } = selfSigned({ dns: ["localhost"], ip: ["127.0.0.1"] });
  const [port, managementPort] = [await freePort(), await freePort()];
  const folder = t.testdir({ "cert.pem": cert, "key.pem": key });
  const configuration = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${managementPort}`,
    certificate: join(folder, "cert.pem"),
    privatekey: join(folder, "key.pem"), // Go matches names in any case.
    ...more,
  };
  const file = join(folder, "pebble.json");
  await writeFile(file, JSON.stringify({ Pebble: configuration }));
  const { printed, pid, signal } = background(t, launcher, ["-strict", "-config", file], {
    PEBBLE_VA_NOSLEEP: "1",
    PEBBLE_VA_ALWAYS_VALID: "1",
    PEBBLE_WFE_NONCEREJECT: "0",
    ...env,
  });
  const describe = (): string => printed.stdout + printed.stderr;
  await eventually(async () => printed.stdout.includes("ACME directory available") || undefined, describe);
  const acme = await acmeDriver(t, { directoryUrl: `https://localhost:${port}/dir`, root: cert });
  return {
    acme,
    pid,
    signal,
    async management(path, body) {
      const sent = body && { method: "POST", body: JSON.stringify(body) };
      const { status, text } = await acme.request(`https://localhost:${managementPort}${path}`, sent);
      return { status, text };
    },
  };
}

/** Orders, has it validated without a look, and downloads; the certificate's reply. */
async function obtain(alice: AcmeClient, order: Order, name: string) {
  for (const url of order.authorizations) {
    const authorization = await alice.readAuthorization(url);
    if (authorization.status === "pending") await alice.post(challengeOf(authorization, "http-01").url, {});
  }
  await alice.post(order.finalize, { csr: certificateKey().csr({ dns: [name] }) });
  return await alice.postAsGet(String((await alice.readOrder(order.url)).certificate));
}

t.test("what it prints", async (t) => {
  t.match(await run(launcher, ["-version"]), { status: 0, stdout: /^Pebble version: 2\.10\.0$/m });
  t.match(await run(launcher, ["serve"]), { status: 1, stderr: /Usage of pebble/ });
  t.match(await run(launcher, ["-config", "nowhere.json"]), { status: 1, stderr: /nowhere\.json/ });
});

t.test("paths, knobs and management", async (t) => {
  const profiles = { default: { description: "d", validityPeriod: 777_600 } };
  const more = { profiles, domainBlocklist: ["blocked.example"], retryAfter: { authz: 3, order: 5 } };
  const env = { PEBBLE_AUTHZREUSE: "100", PEBBLE_WFE_ORDERS_PER_PAGE: "2", PEBBLE_ALTERNATE_ROOTS: "1" };
  const { acme, management } = await launch(t, env, more);
  t.match(acme.directory, {
    newNonce: /\/nonce-plz$/,
    newAccount: /\/sign-me-up$/,
    newOrder: /\/order-plz$/,
    meta: {
      termsOfService: "data:text/plain,Do%20what%20thou%20wilt",
      profiles: { default: "d" },
      caaIdentities: ["pebble.letsencrypt.org"],
    },
  });
  const alice = await acme.account({ termsOfServiceAgreed: true });
  t.match(alice.account, /\/my-account\//);
  t.match(await alice.post(acme.directory.newOrder, { identifiers: [dns("blocked.example")] }), { status: 400 });

  const first = await alice.newOrder(dns("one.example"));
  const pending = await alice.postAsGet(first.authorizations[0] ?? "");
  t.match(pending.headers["retry-after"], /^3$|GMT$/, "as seconds or as a date");
  const reply = await obtain(alice, first, "one.example");
  t.equal((await alice.postAsGet(first.authorizations[0] ?? "")).headers["retry-after"], undefined, "it is done");
  const second = await alice.newOrder(dns("one.example"));
  t.strictSame([second.status, second.authorizations], ["ready", first.authorizations], "authorizations are reused");
  await alice.newOrder(dns("one.example"));
  const page = await alice.postAsGet(alice.account.replace("my-account", "list-orderz"));
  t.equal((page.json() as { orders: string[] }).orders.length, 2, "two orders in a page");

  const leaf = new X509Certificate(reply.text);
  t.equal(leaf.validToDate.getTime() - leaf.validFromDate.getTime() + 1000, 777_600_000);
  const alternate = /<([^>]*\/alternate\/[^>]*)>/.exec(String(reply.headers.link))?.[1] ?? "";
  const other = await alice.postAsGet(alternate);
  for (const [number, { text }] of [reply, other].entries()) {
    const root = new X509Certificate((await management(`/roots/${number}`)).text);
    const [, above = ""] = text.split(/(?=-----BEGIN)/);
    const intermediate = new X509Certificate(above);
    t.ok(intermediate.verify(root.publicKey), `chain ${number}`);
    t.ok(leaf.verify(intermediate.publicKey));
    t.equal((await management(`/intermediates/${number}`)).text, above);
    t.match((await management(`/root-keys/${number}`)).text, /PRIVATE KEY/);
    t.match((await management(`/intermediate-keys/${number}`)).text, /PRIVATE KEY/);
  }
  t.equal((await management("/roots/2")).status, 404);

  const status = async (): Promise<unknown> =>
    JSON.parse((await management(`/cert-status-by-serial/${leaf.serialNumber}`)).text);
  t.match(await status(), { Status: "Valid", Certificate: /BEGIN CERTIFICATE/ });
  await alice.post(acme.directory.revokeCert, { certificate: leaf.raw.toString("base64url"), reason: 1 });
  t.match(await status(), { Status: "Revoked", Reason: 1, RevokedAt: /^\d{4}-/ });

  const information = `${acme.directory.renewalInfo}/${certificateIdOf(reply.text)}`;
  t.match((await acme.request(information)).json(), { suggestedWindow: {} });
  const set = { Certificate: leaf.toString(), ARIResponse: "{ not even JSON" };
  t.equal((await management("/set-renewal-info/", set)).status, 200);
  t.equal((await acme.request(information)).text, "{ not even JSON");
});

t.test("two at once, of which one refuses every nonce; nothing is left of the one that is killed", async (t) => {
  const bound = { externalAccountBindingRequired: true, externalAccountMACKeys: { "kid-1": "A".repeat(64) } };
  const refusing = await launch(t, { PEBBLE_WFE_NONCEREJECT: "100" }, bound);
  t.match(refusing.acme.directory, { meta: { externalAccountRequired: true } });
  const other = await launch(t, { PEBBLE_VA_ALWAYS_VALID: "0" });
  const refused = await refusing.acme.client(clientKey()).register({ termsOfServiceAgreed: true });
  t.match(refused.json(), { type: "urn:ietf:params:acme:error:badNonce" });
  const alice = await other.acme.account({ termsOfServiceAgreed: true });
  const order = await alice.newOrder(dns("nobody.localhost"));
  const authorization = await alice.readAuthorization(order.authorizations[0] ?? "");
  await alice.post(challengeOf(authorization, "http-01").url, {});
  await eventually(
    async () => (await alice.readOrder(order.url)).status === "invalid" || undefined,
    () => "validation was not looked at",
  );
  const foldersOf = async (): Promise<string[]> =>
    (await readdir(tmpdir())).filter((name) => name.startsWith(`${dataPrefix}${refusing.pid}-`));
  t.equal((await foldersOf()).length, 1);
  refusing.signal("SIGKILL");
  await eventually(
    async () => (await foldersOf()).length === 0 || undefined,
    () => "the folder stays",
  );
});

t.test("nothing of it is in the server", async (t) => {
  const below = (folder: string): string[] =>
    readdirSync(join(repository, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  const files = [...below("src"), ...below("migrations"), ...below("bin"), ...below("config")];
  t.ok(files.length > 100);
  const words = /pebble|nonce-?reject|always-?valid|va_?sleep|domain-?blocklist|set-renewal-info|order-plz/i;
  t.strictSame(
    files.filter((file) => words.test(readFileSync(file, "utf8"))),
    [],
  );
  t.match(readFileSync(join(repository, "test/pebble/knobs.ts"), "utf8"), words, "the words are right");
  const { include } = JSON.parse(readFileSync(join(repository, "tsconfig.build.json"), "utf8")) as {
    include: string[];
  };
  t.strictSame(include, ["src", "migrations"], "and no image holds it");
});
