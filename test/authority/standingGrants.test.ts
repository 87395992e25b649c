import t from "tap";
import type { Grant } from "../../src/authority/grants.ts";
import type { WrittenGrant } from "../../src/authority/ports.ts";
import { createStandingGrants, type StandingGrant } from "../../src/authority/standingGrants.ts";
import { dev, grant, id, surroundings } from "../support/grants.ts";

/** A database of grants, as far as it tells of changes. */
function ground(configured: readonly Grant[] = []) {
  const changes: { count: number; written: WrittenGrant }[] = [];
  let count = 0;
  let asked = 0;
  let gate: Promise<void> | undefined;
  const inactive: StandingGrant[] = [];
  const standing = createStandingGrants({
    configured,
    surroundings,
    onInactive: (one) => inactive.push(one),
    changes: {
      async changesSince(since) {
        asked++;
        const found = changes.filter((one) => one.count > since).map(({ written }) => written);
        const answer = { count, changed: found };
        await gate;
        return answer;
      },
    },
  });
  return {
    standing,
    inactive,
    asked: () => asked,
    hold: (until: Promise<void> | undefined) => void (gate = until),
    write: (
      name: string,
      change: object = {},
      ended = false,
      sequence = changes.length + 1,
      version = versionOf(name, change),
    ): number => {
      const configuration = { ...dev, name, ...change };
      count++;
      const at = { createdAt: new Date(0), createdBy: "operator", comment: null, owner: null };
      changes.push({ count, written: { sequence, name, version, configuration, ended, ...at } });
      return sequence;
    },
  };
}

/** Of a grant that can be one; anything for the rest. */
function versionOf(name: string, change: object): string {
  try {
    return grant({ ...change, name }).version;
  } catch {
    return "0123456789abcdef";
  }
}

const names = (grants: readonly { readonly name: string }[]): string[] => grants.map(({ name }) => name);

t.test("those of the configuration in their order, then those of the database by name", async (t) => {
  const { standing, write } = ground([grant({ name: "z" }), grant({ name: "m" })]);
  t.same(names(standing.active()), ["z", "m"], "before the database was asked");
  for (const name of ["y", "a", "n"]) write(name);
  await standing.reread();
  t.same(names(standing.active()), ["z", "m", "a", "n", "y"]);
  t.same([...new Set(standing.active().map(({ origin }) => origin))], ["configuration", "database"]);
});

t.test("the list is the same array until something changes", async (t) => {
  const { standing, write } = ground();
  write("a");
  await standing.reread();
  const before = standing.active();
  await standing.reread();
  t.equal(standing.active(), before);
  write("b");
  await standing.reread();
  t.not(standing.active(), before);
});

t.test("changes in their order: an old version that ends does not take the new one with it", async (t) => {
  const { standing, write } = ground();
  const first = write("a", { owner: "x" });
  await standing.reread();
  write("a", { owner: "x" }, true, first);
  write("a", { owner: "y" }, false, 50);
  await standing.reread();
  t.match(standing.active(), [{ owner: "y" }]);
  write("a", { owner: "x" }, true, first);
  await standing.reread();
  t.match(standing.active(), [{ owner: "y" }], "the end of another version is none of its business");
  write("a", { owner: "y" }, true, 50);
  await standing.reread();
  t.same(standing.all(), []);
});

t.test(
  "what does not fit, is not what its version names, or has a name of the configuration does not count",
  async (t) => {
    const { standing, write, inactive } = ground([grant({ name: "taken" })]);
    write("taken");
    write("misfit", { source: "nowhere" });
    write("forged", {}, false, 30, "0123456789abcdef");
    write("odd", { regex: ".*" });
    write("good", { spiffeId: id("good/{sub}") });
    await standing.reread();
    t.same(names(standing.active()), ["taken", "good"]);
    t.equal(standing.active()[0]?.origin, "configuration");
    t.same(
      standing.all().flatMap(({ name, inactive: why }) => (why === undefined ? [] : [[name, why.slice(0, 30)]])),
      [
        ["forged", "its text is not the one that i"],
        ["misfit", 'grants.misfit.source: "nowhere'],
        ["odd", "grants.odd.regex: unknown key"],
        ["taken", "a grant of the configuration h"],
      ],
    );
    t.same(names(inactive).sort(), ["forged", "misfit", "odd", "taken"], "and it is told");
  },
);

t.test("whoever asks while the database is being asked gets an answer that began after the question", async (t) => {
  const { standing, write, hold, asked } = ground();
  const gate = Promise.withResolvers<void>();
  hold(gate.promise);
  const first = standing.reread();
  write("late");
  const others = Array.from({ length: 20 }, () => standing.reread());
  t.equal(asked(), 1);
  gate.resolve();
  await first;
  t.same(names(standing.active()), [], "the first was asked too early");
  await Promise.all(others);
  t.same(names(standing.active()), ["late"]);
  t.equal(asked(), 2, "one more question for all of them");
});

t.test("a database that is away leaves what is known, and the next question is asked anew", async (t) => {
  const { standing, write, hold } = ground();
  write("a");
  await standing.reread();
  hold(Promise.reject(new Error("away")));
  await t.rejects(standing.reread(), { message: "away" });
  t.same(names(standing.active()), ["a"]);
  hold(undefined);
  write("b");
  await standing.reread();
  t.same(names(standing.active()), ["a", "b"]);
});
