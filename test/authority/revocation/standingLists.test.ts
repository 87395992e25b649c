/** Lists as they are served: how soon a new one is, how much memory they take, and what happens when the database is away. */
import t from "tap";
import type { ListPlace, PublishedList } from "../../../src/authority/certificateListPorts.ts";
import { openStandingLists } from "../../../src/authority/revocation/standingLists.ts";

const place = (shard: number) => ({ issuerId: "i", shard });
const listOf = (shard: number, number: number, size = 10): PublishedList => ({
  ...place(shard),
  number,
  size,
  entries: 0,
  sha256: Buffer.alloc(32, number),
  thisUpdate: new Date(0),
  nextUpdate: new Date(86_400_000),
  dueAt: new Date(43_200_000),
  publishedAt: new Date(0),
});

function ground(memoryBytes = 1000) {
  const state = { lists: [listOf(0, 1)], away: false, elapsed: 0, asked: 0, read: 0, gone: new Set<number>() };
  const unknown: unknown[] = [];
  const lists = openStandingLists({
    store: {
      async readPublished() {
        state.asked += 1;
        if (state.away) throw new Error("away");
        return state.lists;
      },
      async readOctets({ shard }, number) {
        state.read += 1;
        await new Promise((done) => setImmediate(done));
        const size = state.lists.find((list) => list.shard === shard)?.size ?? 0;
        return state.gone.has(number) ? undefined : Buffer.alloc(size, number);
      },
    },
    memoryBytes,
    elapsed: () => state.elapsed,
    onUnknown: (error) => void unknown.push(error),
  });
  /** Sent at once. */
  async function read(of: ListPlace) {
    const lent = await lists.read(of, () => undefined);
    if (lent === "busy") throw new Error("busy");
    lent?.release();
    return lent;
  }
  return { lists, read, state, unknown };
}

t.test("a new list is served a second later at the latest, and the octets are read once", async (t) => {
  const { lists, read, state } = ground();
  t.same(lists.known(), []);
  const replies = await Promise.all(Array.from({ length: 20 }, () => read(place(0))));
  t.ok(replies.every((reply) => reply?.list.number === 1 && reply.der.equals(Buffer.alloc(10, 1))));
  t.same([state.asked, state.read], [1, 1]);
  state.lists = [listOf(0, 2)];
  state.elapsed = 999;
  t.equal((await read(place(0)))?.list.number, 1);
  state.elapsed = 1000;
  t.equal((await read(place(0)))?.list.number, 2);
  t.equal((await lists.find(place(0)))?.number, 2);
  t.same([state.asked, state.read], [2, 2]);
  t.equal(await read(place(1)), undefined);
  t.equal(await lists.find(place(1)), undefined);
});

t.test("memory has a bound: those asked for last stay, and what is larger is read each time", async (t) => {
  const { read, state } = ground(25);
  state.lists = [listOf(0, 1), listOf(1, 1), listOf(2, 1), listOf(3, 1, 26)];
  for (const shard of [0, 1, 0, 2]) await read(place(shard));
  t.equal(state.read, 3);
  await read(place(0));
  t.equal(state.read, 3, "asked for after 1, so it stayed");
  await read(place(1));
  t.equal(state.read, 4, "the one that had to go");
  await read(place(3));
  await read(place(3));
  t.equal(state.read, 6);
  await read(place(1));
  t.equal(state.read, 6, "and it drove nothing out");
});

t.test("a list that was replaced twice while it was read is looked for anew", async (t) => {
  const { lists, read, state } = ground();
  await lists.all();
  state.lists = [listOf(0, 3)];
  state.gone.add(1);
  t.equal((await read(place(0)))?.list.number, 3);
  state.elapsed = 2000;
  state.gone.add(3);
  state.lists = [listOf(0, 4)];
  state.gone.add(4);
  t.equal(await read(place(0)), undefined, "and is given up when it is gone again");
});

t.test("while the database is away, what is known is served; with nothing known, nothing is claimed", async (t) => {
  const { lists, read, state, unknown } = ground();
  state.away = true;
  await t.rejects(read(place(0)), { message: "away" });
  state.away = false;
  await read(place(0));
  state.away = true;
  state.elapsed = 5000;
  t.equal((await read(place(0)))?.list.number, 1);
  t.equal((await lists.all()).length, 1);
  t.ok(unknown.length >= 2);
  state.away = false;
  state.lists = [listOf(0, 2)];
  t.equal((await read(place(0)))?.list.number, 2);
});
