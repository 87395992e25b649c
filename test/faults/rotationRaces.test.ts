/** Operators move issuers by two server processes at the same time, many times: one of them wins, and nothing is left that nobody can explain. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import t, { type Test } from "tap";

import type { Reply } from "../support/acmeDriver.ts";
import { rotatingServers } from "../support/rotatingServers.ts";

t.setTimeout(300_000); // tap's own 30 seconds are too few for real processes on a busy machine.

const lines = ["default", "servers"] as const;
const published = { publishedSeconds: 5 };
const ground = await rotatingServers(t, { issuers: { default: published, servers: published } });
const { place, servers, databaseUrl } = ground;
const drivers = [await servers[0].driver(), await servers[1].driver()] as const;
const token = (await readFile(join(place.dataDir, "operator-token"), "utf8")).trim();
const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };

const database = new pg.Client({ connectionString: databaseUrl });
await database.connect();
t.teardown(() => database.end());

interface Row {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly generation: number;
  readonly state: string;
  readonly key_label: string;
}

const issuers = async (): Promise<Row[]> =>
  (await database.query<Row>("select * from issuer order by kind, name, generation")).rows;
const issuing = async (line: string): Promise<Row[]> =>
  (await issuers()).filter(({ kind, name }) => kind === "issuing" && name === line);

const post = (server: 0 | 1, path: string, body: object): Promise<Reply> =>
  drivers[server].request(`${place.url}/api/v1/issuers${path}`, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
  });

/** The same by both servers, twice each, at once. */
const byBoth = (path: string, body: object): Promise<Reply[]> =>
  Promise.all(([0, 1, 0, 1] as const).map((server) => post(server, path, body)));

const statuses = (replies: readonly Reply[]): number[] => replies.map(({ status }) => status).sort((a, b) => a - b);
const idOf = (reply: Reply | undefined, member?: string): string => {
  const json = reply?.json() ?? {};
  return String(((member === undefined ? json : json[member]) as { id?: string } | null)?.id);
};

/** What holds after whatever was asked for. */
async function explained(t: Test): Promise<void> {
  const all = await issuers();
  for (const line of lines) {
    const own = all.filter(({ kind, name }) => kind === "issuing" && name === line);
    t.equal(own.filter(({ state }) => state === "active").length, 1, `one issuer of ${line} is active`);
    t.same(
      own.map(({ generation }) => generation),
      own.map((_, index) => index + 1),
      "no generation is missing, and none is there twice",
    );
    const waiting = own.filter(({ state }) => state === "prepared" || state === "published");
    t.ok(waiting.length <= 1, `at most one is next: ${JSON.stringify(waiting)}`);
  }
  const files = await readdir(join(place.dataDir, "keys"));
  const keys = files.filter((name) => name.endsWith(".pem")).map((name) => name.slice(0, -".pem".length));
  t.same(
    keys.sort(),
    all.map((one) => one.key_label).sort(),
    "each issuer has a key of its own, and each key an issuer",
  );
}

t.test("made by both at once, activated by both at once: one makes it, one activates it", async (t) => {
  for (let round = 0; round < 10; round++) {
    const [line] = round % 2 === 0 ? lines : [lines[1]];
    const before = (await issuing(line)).find(({ state }) => state === "active");
    const made = await byBoth("", { name: line });
    t.same(statuses(made), [201, 409, 409, 409], "one makes the next");
    const id = idOf(made.find(({ status }) => status === 201));
    const moved = await byBoth(`/${id}/activate`, { force: true });
    t.same(statuses(moved), [200, 409, 409, 409], "one activates it");
    const now = await issuing(line);
    t.equal(now.find(({ state }) => state === "active")?.id, id);
    t.equal(now.find((one) => one.id === before?.id)?.state, "retiring");
    await explained(t);
  }
});

t.test("replaced, prepared and activated by both at once: each active one gives way once", async (t) => {
  const gaveWay: string[] = [];
  const becameActive: string[] = [];
  for (let round = 0; round < 10; round++) {
    const asked = await Promise.all(
      lines.map(async (line) => {
        const next = (await issuing(line)).find(({ state }) => state === "prepared" || state === "published");
        const [replaced, made, activated] = await Promise.all([
          byBoth("/replace", { name: line }),
          byBoth("", { name: line }),
          next === undefined ? [] : byBoth(`/${next.id}/activate`, { force: true }),
        ]);
        return { replaced, made, activated };
      }),
    );
    for (const { replaced, made, activated } of asked) {
      const refused = [...replaced, ...made, ...activated].filter(({ status }) => status >= 300);
      t.same(
        refused.filter(({ status }) => status !== 409).map(({ text }) => text),
        [],
        "who did not win is told so",
      );
      const won = replaced.filter(({ status }) => status === 200);
      gaveWay.push(...won.map((reply) => idOf(reply, "former")));
      becameActive.push(...won.map((reply) => idOf(reply, "active")));
      becameActive.push(...activated.filter(({ status }) => status === 200).map((reply) => idOf(reply)));
      t.ok(won.length + activated.filter(({ status }) => status === 200).length > 0, "somebody won");
    }
    await explained(t);
  }
  t.equal(new Set(gaveWay).size, gaveWay.length, "nobody was told of one that gave way to another");
  t.equal(new Set(becameActive).size, becameActive.length);
});

t.test("every move was told of once", async (t) => {
  const { rows } = await database.query<{ count: string }>(
    `select count(*) from audit_entry where event like 'issuer.%' group by event, subject having count(*) > 1`,
  );
  t.same(rows, []);
  const { rows: untold } = await database.query(
    `select i.id from issuer i where i.kind = 'issuing' and i.generation > 1 and (
       not exists (select from audit_entry a where a.event = 'issuer.prepared' and a.subject = 'issuer:' || i.id)
       or i.state = 'retiring' and not exists (
         select from audit_entry a where a.event = 'issuer.retiring' and a.subject = 'issuer:' || i.id))`,
  );
  t.same(untold, []);
});
