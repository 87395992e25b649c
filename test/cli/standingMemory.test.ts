import { execFile } from "node:child_process";
import { promisify } from "node:util";
import t from "tap";

const module = new URL("../../src/cli/standingMemory.ts", import.meta.url).href;

/**
 * Runs steps one after the other in a process of its own, on what a machine with much memory would allow.
 * @returns the most that the space for new objects had after each `fill`, octets, and what small buffers are cut from in the end
 */
async function sizesOf(steps: string): Promise<{ sizes: number[]; slab: number }> {
  const script = `
    import v8 from "node:v8";
    import { setImmediate } from "node:timers/promises";
    import { boundStandingMemory, growToBound } from ${JSON.stringify(module)};
    const newSpace = () => v8.getHeapSpaceStatistics().find((space) => space.space_name === "new_space").space_size;
    const sizes = [];
    const kept = [];
    async function fill(turns) {
      let most = 0;
      for (let turn = 0; turn < turns; turn++) {
        for (let n = 0; n < 20_000; n++) kept.push({ turn, n });
        await setImmediate();
        most = Math.max(most, newSpace());
      }
      sizes.push(most);
    }
    ${steps}
    console.log(JSON.stringify({ sizes, slab: Buffer.poolSize }));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--max-semi-space-size=64",
    "--input-type=module",
    "--eval",
    script,
  ]);
  return JSON.parse(stdout);
}

const bound = 2 * 16 * 1_048_576;
/** What a half has besides objects: a page's head and the like. */
const besides = 1_048_576;

t.test(
  "the space for new objects stays as it is while a server is loaded, and grows to its bound afterwards",
  async (t) => {
    const { sizes, slab } = await sizesOf(`
    boundStandingMemory();
    await fill(100);
    growToBound();
    await fill(200);
  `);
    const [loading = 0, serving = 0] = sizes;
    t.ok(loading <= bound / 2, `${loading} octets while loading`);
    t.ok(serving > bound / 2 && serving <= bound + besides, `${serving} octets while serving`);
    t.equal(slab, 8_192);
  },
);

t.test("without a bound it would grow beyond it, and slabs are larger or equal", async (t) => {
  const { sizes, slab } = await sizesOf("await fill(300);");
  t.ok((sizes[0] ?? 0) > bound + besides, `${sizes[0]} octets`);
  t.ok(slab >= 8_192);
});
