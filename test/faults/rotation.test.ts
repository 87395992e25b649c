/** Issuers are rotated under load, by two server processes: one move each, everybody follows in time, and no certificate is a wrong one. */
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";

import { bundleOf, leadsTo, obtain, rotatingServers, type Issued } from "../support/rotatingServers.ts";

t.setTimeout(300_000); // tap's own 30 seconds are too few for real processes on a busy machine.

const ground = await rotatingServers(t);
const { place, servers, issuers, list } = ground;

/** The statement that writes an intent takes none of a former issuer later than this, however late a server is with following. */
const boundMs = 10_000;

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
  /** `begun` is when it was asked for, `at` when it was there. */
  const issued: { server: number; begun: number; at: number; certificate: Issued }[] = [];
  const failures: string[] = [];
  const state = { stopped: false };
  async function client(server: 0 | 1): Promise<void> {
    const alice = await drivers[server].account();
    while (!state.stopped) {
      try {
        const begun = Date.now();
        const certificate = await obtain(place, alice);
        issued.push({ server, begun, at: Date.now(), certificate });
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
    /** Resolves once both servers have issued what was asked for after this time, and more than once. */
    async beyond(time: number): Promise<void> {
      const after = (server: number) => issued.filter((one) => one.server === server && one.begun > time).length;
      await until(async () => (after(0) > 2 && after(1) > 2 ? true : undefined));
    },
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
    // Refused until then, however long it takes to ask.
    const { sha256, publishedAt, activatedAt } = await until(() =>
      issuers("activate", "--id", id).catch((error: unknown) => {
        if (/the issuer is published: one that has been published for 5 s/.test(String(error))) return undefined;
        throw error;
      }),
    );
    const activated = Date.parse(String(activatedAt));
    t.ok(activated - Date.parse(String(publishedAt)) >= 5_000, "by the database's clock");
    const first = async (server: number) =>
      await until(async () =>
        under.issued.find((one) => one.server === server && issuerOf(one.certificate) === sha256),
      );
    const followed = [(await first(0)).at - activated, (await first(1)).at - activated];
    t.comment(`followed after ${followed.join(" and ")} ms`);
    await under.beyond(activated + boundMs);
    await under.stop();
    t.same([...new Set(under.failures)], []);
    t.ok(under.issued.length > 20, `${under.issued.length} certificates`);
    const late = under.issued.filter(
      ({ begun, certificate }) => begun > activated + boundMs && issuerOf(certificate) !== sha256,
    );
    t.equal(late.length, 0, "and after the bound nothing is signed by the one before");
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
  await under.beyond(replaced + boundMs);
  await under.stop();
  t.same([...new Set(under.failures)], []);
  const late = under.issued.filter(
    ({ begun, certificate }) => begun > replaced + boundMs && issuerOf(certificate) !== answer.active.sha256,
  );
  t.equal(late.length, 0);
  t.ok(under.issued.some(({ certificate }) => issuerOf(certificate) === answer.active.sha256));
});

t.test(
  "a new root is in the bundle before anything leads to it; then the issuing CA follows below it by itself",
  async (t) => {
    const under = await load();
    const next = await issuers("prepare", "--kind", "root");
    const id = String(next["id"]);
    await until(async () => (await list()).find((one) => one.id === id && one.state === "published"));
    await until(async () => ((await bundleOf(await servers[1].driver(), place)).length === 2 ? true : undefined));
    await t.rejects(issuers("activate", "--id", id), /published for 2592000 s/, "and it stays so for a month");
    // The clients above fetch the bundle anew each time; those of the month are not waited for.
    await issuers("activate", "--id", id, "--force");
    const below = await until(async () =>
      (await list()).find((one) => one.kind === "issuing" && one.state === "active" && isBelow(one, id)),
    );
    // Each server follows in its own second; after the bound nobody is behind.
    await under.beyond(Date.parse(String(below.activatedAt)) + boundMs);
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
