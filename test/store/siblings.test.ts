import { setTimeout as sleep } from "node:timers/promises";
import t, { type Test } from "tap";
import type { Database } from "../../src/store/database.ts";
import { openDeployment } from "../../src/store/deployment.ts";
import { joinSiblings, type Siblings } from "../../src/store/siblings.ts";
import { migratedDatabase, query } from "../support/database.ts";

const db = await migratedDatabase(t);

interface Joined extends Siblings {
  readonly heard: string[];
  readonly lost: string[];
  readonly told: string[];
}

async function join(t: Test, database: Database = db): Promise<Joined> {
  const [heard, lost, told]: [string[], string[], string[]] = [[], [], []];
  const siblings = await joinSiblings(database, {
    instanceOctets: 10,
    onLost: (reason) => lost.push(reason),
    probeMs: 50,
  });
  t.teardown(() => siblings.close());
  siblings.subscribe({ onMessage: (text) => heard.push(text), onLost: () => told.push("lost") });
  return { ...siblings, heard, lost, told };
}

const id = ({ instance }: Siblings): string => instance.toString("hex");

async function until(what: () => boolean): Promise<void> {
  for (let round = 0; round < 200 && !what(); round++) await sleep(20);
  if (!what()) throw new Error("it never came true");
}

t.test("the first one is alone, later ones are not, and the next after all have gone is", async (t) => {
  const first = await join(t);
  t.equal(first.alone, true);
  const second = await join(t);
  t.equal(second.alone, false);
  await first.close();
  t.equal((await join(t)).alone, false, "somebody is left");
  t.not(id(first), id(second));
});

t.test("of many that come at once at most one is alone", async (t) => {
  const many = await Promise.all(Array.from({ length: 8 }, () => join(t)));
  t.ok(many.filter(({ alone }) => alone).length <= 1);
  t.ok(many.every(({ connected }) => connected()));
});

t.test("messages reach whom they are for, in order, many in one statement; nobody is no error", async (t) => {
  const [one, two] = [await join(t), await join(t)];
  const messages = Array.from({ length: 50 }, (_, index) => ({ to: id(two), text: `${index} ${"x".repeat(7900)}` }));
  await one.send([...messages, { to: id(one), text: "to oneself" }, { to: "00".repeat(10), text: "to nobody" }]);
  await until(() => two.heard.length === 50 && one.heard.length === 1);
  t.same(
    two.heard,
    messages.map(({ text }) => text),
  );
});

t.test("a connection that is cut comes back by itself, under the same name, and the presence with it", async (t) => {
  const one = await join(t);
  await query(
    db,
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'mayfly siblings' and datname = current_database()",
  );
  await until(() => one.told.length === 1);
  t.equal(one.lost.length, 1);
  await until(() => one.connected());
  const other = await join(t);
  t.equal(other.alone, false);
  await other.send([{ to: id(one), text: "still there?" }]);
  await until(() => one.heard.length === 1);
});

t.test("without a connection at the start it is made later, and sending fails meanwhile", async (t) => {
  let away = true;
  const database: Database = {
    ...db,
    client: (name) => {
      const client = db.client(name);
      if (away) client.connect = () => Promise.reject(new Error("no way"));
      return client;
    },
  };
  const late = await join(t, database);
  t.same([late.alone, late.connected()], [false, false]);
  t.match(late.lost, [/no way/]);
  await t.rejects(late.send([{ to: id(late), text: "hello" }]));
  away = false;
  await until(() => late.connected());
  await late.send([{ to: id(late), text: "hello" }]);
  await until(() => late.heard.length === 1);
});

t.test("a connection that says nothing any more is given up", async (t) => {
  let mute = false;
  const database: Database = {
    ...db,
    client: (name) => {
      const client = db.client(name);
      const real = client.query.bind(client);
      client.query = ((...given: Parameters<typeof real>) =>
        mute ? Promise.reject(new Error("Query read timeout")) : real(...given)) as typeof client.query;
      return client;
    },
  };
  const one = await join(t, database);
  mute = true;
  await until(() => one.told.length === 1);
  mute = false;
  await until(() => one.connected());
  t.match(one.lost, [/timeout/]);
});

t.test("all processes derive the same keys, another one for each purpose", async (t) => {
  const many = await Promise.all(Array.from({ length: 8 }, () => openDeployment(db)));
  const keys = new Set(many.map((keyFor) => keyFor("nonces").toString("hex")));
  t.equal(keys.size, 1);
  t.match([...keys][0], /^[0-9a-f]{64}$/);
  t.notOk(keys.has(many[0]?.("messages").toString("hex") ?? ""));
});
