/** The octets of lists that are sent: one copy of each, bounded together, and not for ever in the hands of whoever takes them slowly. */
import t from "tap";
import type { PublishedList } from "../../../src/authority/certificateListPorts.ts";
import { openListOctets, type LentOctets } from "../../../src/authority/revocation/listOctets.ts";

const at = new Date(0);
const times = { thisUpdate: at, nextUpdate: at, dueAt: at, publishedAt: at };
const listOf = (shard: number, size: number, number = 1): PublishedList => {
  return { issuerId: "i", shard, number, size, entries: 0, sha256: Buffer.alloc(32), ...times };
};

function ground(memoryBytes: number) {
  const state = { elapsed: 0, reads: 0, failing: false, ended: [] as string[] };
  const octets = openListOctets({
    store: {
      async readOctets({ shard }, number) {
        state.reads++;
        await new Promise((done) => setImmediate(done));
        if (state.failing) throw new Error("away");
        return number === 0 ? undefined : Buffer.alloc(sizes.get(shard) ?? 0, number);
      },
    },
    memoryBytes,
    elapsed: () => state.elapsed,
  });
  const sizes = new Map<number, number>();
  async function lend(shard: number, size: number, number = 1, name = `${shard}/${number}`) {
    sizes.set(shard, size);
    return await octets.lend(listOf(shard, size, number), () => void state.ended.push(name));
  }
  async function lent(...of: Parameters<typeof lend>): Promise<LentOctets> {
    const found = await lend(...of);
    if (found === undefined || found === "busy") throw new Error(`it is ${found}`);
    return found;
  }
  return { lend, lent, state };
}

t.test("a list without room is read once for all that it is being sent to, whenever they come", async (t) => {
  const { lent, state } = ground(10);
  const first = await lent(0, 1000);
  const more: LentOctets[] = [];
  for (let n = 0; n < 99; n++) more.push(await lent(0, 1000));
  t.equal(state.reads, 1);
  t.ok(more.every(({ der }) => der === first.der));
  for (const { release } of more) release();
  t.equal((await lent(0, 1000)).der, first.der, "while one of them is at it");
  t.equal(state.reads, 1);
});

t.test("what is sent and not kept has a bound: one more is told to come again, and what is kept goes on", async (t) => {
  const { lend, lent, state } = ground(100);
  const kept = await lent(0, 40);
  const large = await lent(1, 500);
  t.equal(await lend(2, 60), "busy", "beside a larger one there is no room at all");
  t.equal((await lent(0, 40)).der, kept.der);
  large.release();
  const [second, third] = [await lent(2, 60), await lent(3, 60)];
  t.equal(state.reads, 4);
  t.equal(await lend(4, 70), "busy", "0 and 2 are not kept any more and still being sent");
  t.equal((await lent(2, 60)).der, second.der, "which are there for others as well");
  third.release();
  t.same(state.ended, []);
});

t.test("whoever takes it slowly gives way to who asks", async (t) => {
  const { lend, lent, state } = ground(100);
  const slow = await lent(0, 100, 1, "slow");
  await lent(0, 100, 2, "next");
  const one = await lent(0, 100, 1, "one");
  state.elapsed = 59_000;
  t.equal(await lend(0, 100, 3), "busy", "two older ones are still being sent");
  t.same(state.ended, []);
  one.release();
  state.elapsed = 60_000;
  t.equal(await lend(0, 100, 3), "busy");
  t.same(state.ended, ["slow"], "the newest one, which is kept, is nobody's burden");
  slow.release();
  t.equal((await lent(0, 100, 3)).der.length, 100);
});

t.test("what could not be read, or is not there any more, takes no room", async (t) => {
  const { lend, lent, state } = ground(10);
  state.failing = true;
  const failed = await Promise.allSettled([lend(0, 1000), lend(0, 1000)]);
  t.ok(failed.every(({ status }) => status === "rejected"));
  state.failing = false;
  t.equal(await lend(1, 1000, 0), undefined);
  t.equal((await lent(2, 1000)).der.length, 1000);
  t.equal(state.reads, 3);
});
