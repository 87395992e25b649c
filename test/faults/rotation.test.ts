/** Issuers are rotated under load, by two server processes: one move each, everybody follows in time, and no certificate is a wrong one. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";

import { bundleOf, leadsTo, obtain, rotatingServers, type Issued } from "../support/rotatingServers.ts";

t.setTimeout(300_000); // tap's own 30 seconds are too few for real processes on a busy machine.

const ground = await rotatingServers(t);
const { place, servers, issuers, list } = ground;

const byNumber = (a: number, b: number): number => a - b;

/** Beside the bound, what an issuance itself takes on a busy machine. */
const boundMs = 2_000 + 1_500;

async function until<T>(what: () => Promise<T | undefined>, withinMs = 60_000): Promise<T> {
  const end = Date.now() + withinMs;
  while (Date.now() < end) {
    const found = await what();
    if (found !== undefined) return found;
    await sleep(50);
  }
  throw new Error("it never came true");
}

/** Clients of both servers that obtain one certificate after the other, and look at each with the bundle of the other server. */
async function load() {
  const drivers = [await servers[0].driver(), await servers[1].driver()] as const;
  const issued: { server: number; at: number; certificate: Issued }[] = [];
  const failures: string[] = [];
  const state = { stopped: false };
  async function client(server: 0 | 1): Promise<void> {
    const alice = await drivers[server].account();
    while (!state.stopped) {
      try {
        const certificate = await obtain(place, alice);
        issued.push({ server, at: Date.now(), certificate });
        const roots = await bundleOf(drivers[server === 0 ? 1 : 0], place);
        if (!leadsTo(roots, certificate)) failures.push("a certificate that leads to no root of the bundle");
      } catch (error) {
        failures.push(String(error));
      }
    }
  }
  const clients = [client(0), client(0), client(1), client(1)];
  return {
    issued,
    failures,
    async stop() {
      state.stopped = true;
      await Promise.all(clients);
    },
  };
}

const issuerOf = ({ chain }: Issued): string => chain[0]?.fingerprint256.replaceAll(":", "").toLowerCase() ?? "";

t.test(
  "an issuing CA is followed by the next under load: no request fails, and both servers follow within the bound",
  async (t) => {
    const under = await load();
    const next = await issuers("prepare");
    t.match(next, { state: /prepared|published/, generation: 2 });
    const id = String(next["id"]);
    await until(async () => (await list()).find((one) => one.id === id && one.state === "published"));
    await t.rejects(
      issuers("activate", "--id", id),
      /published for 5 s/,
      "not before it was published for long enough",
    );
    await sleep(5_000);
    const { sha256, activatedAt } = await issuers("activate", "--id", id);
    const activated = Date.parse(String(activatedAt));
    const first = async (server: number) =>
      await until(async () =>
        under.issued.find((one) => one.server === server && issuerOf(one.certificate) === sha256),
      );
    const followed = [(await first(0)).at - activated, (await first(1)).at - activated];
    t.comment(`followed after ${followed.join(" and ")} ms`);
    t.ok(Math.max(...followed) < boundMs, `${followed.join(" and ")} ms`);
    await sleep(1_000);
    await under.stop();
    t.same([...new Set(under.failures)], []);
    t.ok(under.issued.length > 20, `${under.issued.length} certificates`);
    const late = under.issued.filter(
      ({ at, certificate }) => at > activated + boundMs && issuerOf(certificate) !== sha256,
    );
    t.equal(late.length, 0, "and after it nothing is signed by the one before");
    t.match(await list(), [{ kind: "root", state: "active" }, { state: "retiring" }, { state: "active", id }]);
  },
);

t.test("an issuer that must go at once gives way at once", async (t) => {
  const under = await load();
  const answer = (await issuers("replace", "--confirm")) as {
    active: { sha256: string; activatedAt: string };
    former: { id: string; state: string };
  };
  const replaced = Date.parse(answer.active.activatedAt);
  t.match(answer, { active: { state: "active", generation: 3 }, former: { state: "retiring", generation: 2 } });
  await sleep(boundMs + 500);
  await under.stop();
  t.same([...new Set(under.failures)], []);
  const late = under.issued.filter(
    ({ at, certificate }) => at > replaced + boundMs && issuerOf(certificate) !== answer.active.sha256,
  );
  t.equal(late.length, 0);
  t.ok(under.issued.some(({ certificate }) => issuerOf(certificate) === answer.active.sha256));
});

t.test("both servers rotate at once, many times: each time one wins", async (t) => {
  const url = `${place.url}/api/v1`;
  const token = { authorization: `Bearer ${await operatorToken()}`, "content-type": "application/json" };
  const drivers = [await servers[0].driver(), await servers[1].driver()] as const;
  const post = async (server: 0 | 1, path: string, body: object) =>
    await drivers[server].request(`${url}${path}`, { method: "POST", headers: token, body: JSON.stringify(body) });
  for (let round = 0; round < 15; round++) {
    const before = (await list()).find(({ kind, state }) => kind === "issuing" && state === "active");
    const made = await Promise.all([0, 1, 0, 1].map((server) => post(server as 0 | 1, "/issuers", {})));
    t.same(made.map(({ status }) => status).sort(byNumber), [201, 409, 409, 409], "one makes the next");
    const id = String(made.find(({ status }) => status === 201)?.json()["id"]);
    const moved = await Promise.all(
      [0, 1, 0, 1].map((server) => post(server as 0 | 1, `/issuers/${id}/activate`, { force: true })),
    );
    t.same(moved.map(({ status }) => status).sort(byNumber), [200, 409, 409, 409], "one activates it");
    const now = (await list()).filter(({ kind }) => kind === "issuing");
    t.same(
      now.filter(({ state }) => state === "active").map((one) => one.id),
      [id],
    );
    t.equal(now.find((one) => one.id === before?.id)?.state, "retiring");
    t.equal(new Set(now.map(({ generation }) => generation)).size, now.length);
  }
});

t.test(
  "a new root is in the bundle before anything leads to it; then the issuing CA follows below it by itself",
  async (t) => {
    const under = await load();
    const next = await issuers("prepare", "--kind", "root");
    const id = String(next["id"]);
    await until(async () => (await list()).find((one) => one.id === id && one.state === "published"));
    t.equal((await bundleOf(await servers[1].driver(), place)).length >= 1, true);
    await until(
      async () => ((await bundleOf(await servers[1].driver(), place)).length === 2 ? true : undefined),
      3_000,
    );
    await t.rejects(issuers("activate", "--id", id), /published for 2592000 s/, "and it stays so for a month");
    // The clients above fetch the bundle anew each time; those of the month are not waited for.
    await issuers("activate", "--id", id, "--force");
    const below = await until(async () =>
      (await list()).find((one) => one.kind === "issuing" && one.state === "active" && isBelow(one, id)),
    );
    await sleep(boundMs);
    await under.stop();
    t.same(
      [...new Set(under.failures)].filter((one) => !/self-signed|unable to/.test(one)),
      [],
    );
    const driver = await servers[1].driver();
    const certificate = await obtain(place, await driver.account());
    const [root] = await bundleOf(driver, place);
    t.ok(root && leadsTo([root], certificate), "what is issued now leads to the new root");
    t.match(
      (await list()).filter(({ kind }) => kind === "root"),
      [{ state: "retiring" }, { state: "active", id }],
    );
    t.ok(below);
  },
);

const isBelow = (one: object, root: string): boolean => (one as { parent?: string }).parent === root;

async function operatorToken(): Promise<string> {
  const { readFile } = await import("node:fs/promises");
  return (await readFile(`${place.dataDir}/operator-token`, "utf8")).trim();
}
