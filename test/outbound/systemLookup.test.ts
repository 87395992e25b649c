import { lookup } from "node:dns/promises";
import { hostname } from "node:os";
import t from "tap";
import { createSystemLookup } from "../../src/outbound/systemLookup.ts";

const { signal } = new AbortController();
const ours = (message: RegExp) => ({ name: "OutboundFailure", problem: "ours", message });

/** A system whose lookups end when the test says so. */
function slowSystem() {
  const asked: string[] = [];
  const ends: (() => void)[] = [];
  const find = (name: string): Promise<string[]> => {
    asked.push(name);
    return new Promise((resolve) => ends.push(() => resolve(["192.0.2.1"])));
  };
  return { asked, ends, find };
}

t.test("as the system has it", async (t) => {
  const system = createSystemLookup(4_000);
  const own = hostname().toLowerCase();
  const told = await lookup(own, { all: true }).catch(() => []);
  const found = await system.addresses(own, signal).catch(() => []);
  t.same(
    found,
    told.map(({ address }) => address),
  );
  await t.rejects(system.addresses("does-not-exist.invalid", signal), { name: "OutboundFailure" });
});

t.test(
  "H-24 a place is taken until the lookup itself has ended, one for a name, and who finds none is told at once",
  async (t) => {
    const { asked, ends, find } = slowSystem();
    const system = createSystemLookup(30, find);
    const silent = ["a.example", "a.example", "b.example"].map((name) => system.addresses(name, signal));
    for (const one of silent) await t.rejects(one, ours(/has not ended in time/));
    t.same(asked, ["a.example", "b.example"], "a name that is being looked up is not looked up again");
    await t.rejects(system.addresses("c.example", signal), ours(/too many lookups/));
    t.same(asked, ["a.example", "b.example"]);
    ends[0]?.();
    await new Promise(setImmediate);
    const third = system.addresses("c.example", signal);
    ends[2]?.();
    t.same(await third, ["192.0.2.1"]);
  },
);

t.test("what the system says: a name that is not there, and everything else, which is our trouble", async (t) => {
  const failing = (code: string) =>
    createSystemLookup(1_000, () => Promise.reject(Object.assign(new Error(), { code }))).addresses(
      "a.example",
      signal,
    );
  await t.rejects(failing("ENOTFOUND"), { name: "OutboundFailure", problem: "dns", retryable: true });
  await t.rejects(failing("EAI_AGAIN"), ours(/EAI_AGAIN/));
});

t.test("H-33 it is given up at once", async (t) => {
  const controller = new AbortController();
  const asked = createSystemLookup(60_000, slowSystem().find).addresses("a.example", controller.signal);
  setTimeout(() => controller.abort(new Error("gave up")), 10);
  await t.rejects(asked, { message: "gave up" });
});
