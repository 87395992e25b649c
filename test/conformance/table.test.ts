/** The generator of docs/acme-conformance.md: ids from names, outcomes from events, faults, and the same octets every time. */
import t from "tap";
import { createRecording, type RecordedTest } from "./recorder.ts";
import { must, notApplicable, type RequirementList } from "./requirement.ts";
import { conformance } from "./table.ts";
import { mayCarryIds, readTestName } from "./testIds.ts";

const list: RequirementList = {
  document: "RFC 1",
  requirements: {
    "R1-1": must("The first"),
    "R1-2": must("The second"),
    "R1-3": notApplicable("The third", "nobody needs it"),
  },
};
const attack: RequirementList = { document: "Access", requirements: { "H-01a": must("An attack") } };
const passed = (name: string, file = "test/a.test.ts"): RecordedTest => ({ file, name, outcome: "passed" });
const all = [passed("R1-1 R1-2 both"), passed("H-01a attacked")];
const yields = (tests: readonly RecordedTest[], pending: readonly string[] = []) =>
  conformance({ documents: [list], attacks: [attack], pending, tests });

t.test("ids are read from the start of a name only", async (t) => {
  t.same(readTestName("R7.4-4 R7.1.2.1-1 H-18b, RDAL-1: words R6.1-1"), {
    ids: ["R7.4-4", "R7.1.2.1-1", "H-18b", "RDAL-1"],
    words: "words R6.1-1",
  });
  t.same(readTestName("R8.2-1"), { ids: ["R8.2-1"], words: "" });
  for (const name of ["rule B nothing", "RSA-2048 keys", "WA 8 one", "see R7.4-4", "R7.4-4x2 no id", "H-5.5"]) {
    t.same(readTestName(name), { ids: [], words: name });
  }
  t.ok(
    mayCarryIds('t.test("R7.4-4 finalize"') && mayCarryIds("t.test(`H-25b ${what}`") && mayCarryIds('["R6.2-5", 1]'),
  );
  t.notOk(mayCarryIds('t.test("finalize") // R7.4-4'));
});

t.test("tests are recorded, assertions are not, and what skips is no pass", async (t) => {
  const record = createRecording();
  const file = `${import.meta.dirname}/x.test.ts`;
  const suite = { details: { type: "suite" }, file };
  const at = (nesting: number, name: string, rest: object = suite) => ({ nesting, name, file, ...rest });
  t.equal(record(at(2, "R1-1 an assertion's message", { details: {} }), true), undefined);
  t.same(record(at(1, "R1-1 a test"), true), {
    file: "test/conformance/x.test.ts",
    name: "R1-1 a test",
    outcome: "passed",
  });
  t.equal(record(at(1, "R1-2 fails"), false)?.outcome, "failed");
  t.equal(record(at(1, "R1-2 is skipped", { skip: true }), true)?.outcome, "skipped");
  t.equal(record(at(1, "R1-2 is to be done", { todo: "" }), true)?.outcome, "skipped");
  t.equal(record(at(0, "H-01a around skipped ones"), true)?.outcome, "skipped");
  record(at(3, "one of several", { skip: "no token here" }), true);
  t.equal(record(at(2, "without an id"), true), undefined);
  t.equal(record(at(1, "R1-1 with something skipped deep inside"), true)?.outcome, "skipped");
  t.equal(record(at(1, "R1-1 after it"), true)?.outcome, "passed");
  t.equal(
    record({ ...at(1, "R1-1 declared elsewhere"), entryFile: `${file}x` }, true)?.file,
    "test/conformance/x.test.tsx",
  );
});

t.test("all is well: no faults, and the page has every requirement with its tests", async (t) => {
  const { markdown, faults } = yields(all);
  t.same(faults, []);
  t.match(markdown, "4 requirements: 3 passed, 1 not applicable.");
  t.match(markdown, "| R1-1 | MUST | The first | `a.test.ts`: both | passed |");
  t.match(markdown, "| R1-3 | – | The third |  | not applicable: nobody needs it |");
});

t.test("what is wrong is a fault", async (t) => {
  t.same(yields(all.slice(1)).faults, ["R1-1: has no test", "R1-2: has no test"]);
  t.same(yields([...all, passed("R1-9 unheard of")]).faults, ["R1-9: a test names it, and no requirement has this id"]);
  for (const outcome of ["failed", "skipped"] as const) {
    const { markdown, faults } = yields([...all, { file: "test/b.test.ts", name: "R1-1 again", outcome }]);
    t.same(faults, [`R1-1: ${outcome}: test/b.test.ts: R1-1 again`]);
    t.match(markdown, new RegExp(`R1-1 .*\\| ${outcome} \\|`));
    t.same(
      yields([...all, { file: "test/b.test.ts", name: "R1-3 absent", outcome }]).faults.length,
      1,
      "a reason is no excuse",
    );
  }
});

t.test("pending requirements are shown as what they are, and the list shrinks", async (t) => {
  const { markdown, faults } = yields(all.slice(1), ["R1-1", "R1-2"]);
  t.same(faults, []);
  t.match(markdown, "| R1-2 | MUST | The second |  | no test |");
  t.same(yields(all, ["R1-2"]).faults, ["R1-2: pending, and yet it is passed: take it off the list"]);
  t.same(yields(all, ["R1-3", "R1-8"]).faults, [
    "R1-3: pending, and yet it is not applicable: take it off the list",
    "R1-8: pending, and no requirement has this id",
  ]);
});

t.test("the same tests in any order, and twice, yield the same page; names are no markup", async (t) => {
  const tests = [...all, passed("R1-1 a|b <c> `d`", "test/z.test.ts"), passed("R1-1 more", "test/c.test.ts")];
  const { markdown } = yields(tests);
  t.equal(yields([...tests.toReversed(), ...tests]).markdown, markdown);
  t.match(markdown, "`a.test.ts`: both<br>`c.test.ts`: more<br>`z.test.ts`: a&#124;b");
  t.match(yields([...tests, { ...passed("R1-1 more", "test/c.test.ts"), outcome: "failed" }]).faults, ["R1-1: failed"]);
});
