/** The listener's own certificate while issuers move: it follows to the one that is active, and no handshake is lost over it. */
import { X509Certificate } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { connect, type TLSSocket } from "node:tls";
import t, { type Test } from "tap";

import { certificateAuthority, type TestAuthority, type TestOwner } from "./support/certificateAuthority.ts";
import { replicas } from "./support/replicas.ts";

t.setTimeout(240_000); // tap's own 30 seconds are too few on a busy machine.

/** Moves are the test's own. */
const byCommand = { configuration: { issuers: { default: { automatic: false } } } };

async function post(ca: TestAuthority, path: string, payload: object = {}): Promise<Record<string, unknown>> {
  const headers = { authorization: `Bearer ${ca.operatorToken}` };
  const reply = await ca.authority.server.inject({ method: "POST", url: `/api/v1/issuers${path}`, headers, payload });
  if (reply.statusCode >= 300) throw new Error(`${path}: ${reply.statusCode} ${reply.body}`);
  return reply.json();
}

/** Resolves to the id of a new issuer that is active at once. */
async function nextActive(ca: TestAuthority): Promise<string> {
  const id = String((await post(ca, ""))["id"]);
  await post(ca, `/${id}/activate`, { force: true });
  return id;
}

const activeOf = (ca: TestAuthority): string => ca.authority.issuers.active("default").id;

/** A whole handshake with the root as trust, no session of before taken up. @throws {Error} where it does not come to an end that is good */
function shakeHands(ca: TestAuthority): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const port = ca.configuration.listenPort;
  const socket = connect({ host: "localhost", port, servername: "localhost", ca: ca.root }, () => resolve(socket));
  socket.once("error", reject);
  return promise;
}

/** The id of the issuer of the certificate that a server shows. */
async function shownBy(ca: TestAuthority): Promise<string | undefined> {
  const socket = await shakeHands(ca);
  const leaf = new X509Certificate(socket.getPeerCertificate().raw);
  socket.destroy();
  return issuerOf(leaf, ca);
}

const issuerOf = (leaf: X509Certificate, { authority }: TestAuthority): string | undefined =>
  authority.issuers.all().find(({ certificate }) => leaf.verify(new X509Certificate(certificate).publicKey))?.id;

async function until(what: () => boolean | Promise<boolean>, expected: string): Promise<void> {
  for (let tried = 0; !(await what()); tried++) {
    if (tried === 1_200) throw new Error(`it never came true: ${expected}`);
    await sleep(50);
  }
}

/** Clients that connect without a pause: whose certificate each handshake showed, in their order, or why it failed. */
function connecting(owner: TestOwner, ca: TestAuthority) {
  const [shown, failures]: [string[], string[]] = [[], []];
  const state = { stopped: false };
  async function client(): Promise<void> {
    while (!state.stopped) {
      await shownBy(ca).then(
        (id) => shown.push(id ?? "nobody's"),
        (error: unknown) => failures.push(String(error)),
      );
      await turn();
    }
  }
  const running = client();
  const stop = async (): Promise<void> => {
    state.stopped = true;
    await running;
  };
  owner.teardown(stop);
  return { shown, failures, stop };
}

/** One request on this connection. */
async function healthOver(socket: TLSSocket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  socket.once("data", (octets: Buffer) => resolve(octets.toString("latin1")));
  socket.once("error", reject);
  socket.once("close", () => reject(new Error("the connection was closed")));
  socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  return await promise;
}

t.test("an issuer gives way and is retired: both servers follow, and every handshake is good", async (t: Test) => {
  const servers = (await replicas(t, byCommand)).map(({ ca }) => ca);
  const [first] = servers;
  if (first === undefined) throw new Error("there are two servers");
  const former = activeOf(first);
  const open = await Promise.all(servers.map(shakeHands));
  for (const socket of open) t.match(await healthOver(socket), /^HTTP\/1\.1 200/);
  const loads = servers.map((ca) => connecting(t, ca));
  await until(() => loads.every(({ shown }) => shown.length > 5), "handshakes");

  const next = await nextActive(first);
  const since = Date.now();
  await until(() => loads.every(({ shown }) => shown.includes(next)), "both show the next one's certificate");
  t.comment(`both followed within ${Date.now() - since} ms`);
  await post(first, `/${former}/retire`, { force: true });
  await until(() => servers.every(({ authority }) => authority.issuers.byId(former) === undefined), "retired");
  const before = loads.map(({ shown }) => shown.length);
  await until(() => loads.every(({ shown }, index) => shown.length > (before[index] ?? 0) + 5), "handshakes after it");
  for (const { shown, failures, stop } of loads) {
    await stop();
    t.same(failures, [], `${shown.length} handshakes`);
    t.same([...new Set(shown)], [former, next]);
    t.equal(shown.indexOf(next), shown.lastIndexOf(former) + 1, "and not back");
  }
  for (const socket of open) t.match(await healthOver(socket), /^HTTP\/1\.1 200/, "a connection of before goes on");
  for (const ca of servers) {
    const kept = new X509Certificate(await readFile(join(ca.dataDir, "listener.pem"), "utf8"));
    t.equal(issuerOf(kept, ca), next, "and it is kept for the next start");
  }
  for (const socket of open) socket.destroy();
});

t.test(
  "an issuer stops without another in its place: the listener goes on, and follows once there is one",
  async (t) => {
    const ca = await certificateAuthority(t, byCommand);
    const former = activeOf(ca);
    await post(ca, `/${former}/retire`, { force: true });
    t.throws(() => activeOf(ca), { name: "KeyUnavailable" });
    t.equal(await shownBy(ca), former);
    const next = await nextActive(ca);
    await until(async () => (await shownBy(ca)) === next, "it follows");
  },
);

t.test("its issuer was retired while the server was down: the first handshake shows the active one's", async (t) => {
  const [{ ca: first }, { ca: second }] = await replicas(t, byCommand);
  const former = activeOf(first);
  await second.close();
  const next = await nextActive(first);
  await post(first, `/${former}/retire`, { force: true });
  const { dataDir, databaseUrl, configuration } = second;
  const kept = new X509Certificate(await readFile(join(dataDir, "listener.pem"), "utf8"));
  t.not(kept.verify(new X509Certificate(first.authority.issuers.active("default").certificate).publicKey), true);
  const { externalUrl, listenPort: port, access } = configuration;
  const { development } = configuration.keys;
  const shared = { externalUrl, access, keys: { development } };
  const again = await certificateAuthority(t, { dataDir, databaseUrl, port, configuration: shared });
  t.equal(await shownBy(again), next);
});

t.test("a full disk: the listener follows all the same, with one certificate for each issuer", async (t) => {
  const ca = await certificateAuthority(t, byCommand);
  const made = async (): Promise<number> => {
    const { body } = await ca.inventory("/certificates?limit=100");
    const all = body["certificates"] as readonly { profile: string }[];
    return all.filter(({ profile }) => profile === "listener").length;
  };
  t.equal(await made(), 1);
  // What is written on the way to the files cannot be: a directory is there.
  for (const file of ["listener-key.pem", "listener.pem"]) await mkdir(join(ca.dataDir, `${file}.${process.pid}.new`));
  for (const count of [2, 3]) {
    const next = await nextActive(ca);
    await until(async () => (await shownBy(ca)) === next, "it follows");
    t.equal(await made(), count);
  }
});
