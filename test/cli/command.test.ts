import t from "tap";
import {
  type Command,
  type CommandEntry,
  defineCommand,
  nearest,
  readOptions,
  UsageError,
  wholeNumber,
} from "../../src/cli/command.ts";
import { runWords } from "../support/commandLine.ts";

const options = {
  place: { type: "string", short: "p", value: "DIR", required: true, env: "TEST_PLACE", description: "where" },
  speed: { type: "string", default: "5", description: "how fast" },
  name: { type: "string", multiple: true, description: "a name" },
  quiet: { type: "boolean", description: "say nothing" },
  note: { type: "string", value: "TEXT", defaultText: "what the command thinks", description: "a remark" },
} as const;

const command = (run: Command["run"]): Command =>
  defineCommand({
    name: "travel",
    summary: "go",
    usage: "[OPTION …]",
    description: "Goes.",
    options,
    examples: [],
    run,
  });
const tableOf = (run: Command["run"]): CommandEntry[] => [
  { name: "travel", summary: "go", load: async () => command(run) },
  { name: "arrive", summary: "stay", load: () => Promise.reject(new Error("must not be loaded")) },
];
const still = async (): Promise<void> => {};
const read = (args: string[], env = {}) => readOptions(command(still), args, env);

t.test("options: command line, then environment, then default", async (t) => {
  const absent = { speed: "5", name: [], quiet: false, note: undefined };
  t.strictSame(read(["--place", "here"]), { ...absent, place: "here" });
  t.strictSame(read([], { TEST_PLACE: "there" }), { ...absent, place: "there" });
  t.strictSame(read(["-p", "here"], { TEST_PLACE: "there" }), { ...absent, place: "here" });
  t.strictSame(read(["--place=-x", "--name", "a", "--name=b", "--quiet", "--speed", "", "--note", "-"]), {
    place: "-x",
    speed: "",
    name: ["a", "b"],
    quiet: true,
    note: "-",
  });
});

t.test("a wrong command line: one sentence, exit 2, and the command does not run", async (t) => {
  const table = tableOf(() => Promise.reject(new Error("it ran")));
  for (const [line, sentence] of [
    ["travle", 'there is no command "travle"; did you mean "travel"?'],
    ["xylophone", 'there is no command "xylophone"; see "mayfly --help"'],
    ["--place x", 'a command comes before its options, and "--place" is an option; see "mayfly --help"'],
    ["travel", 'travel needs --place DIR; see "mayfly travel --help"'],
    ["travel --plcae x", 'travel has no option "--plcae"; did you mean "--place"?'],
    ["travel --hasOwnProperty", 'travel has no option "--hasOwnProperty"; see "mayfly travel --help"'],
    ["travel -z", 'travel has no option "-z"; see "mayfly travel --help"'],
    ["travel --place", "--place needs a value: --place DIR"],
    ["travel --speed --quiet", "--speed needs a value: --speed VALUE"],
    ["travel --place a -p b", "-p is given twice"],
    ["travel --quiet=yes --place a", "--quiet takes no value"],
    ["travel far --place a", 'travel does not take the argument "far"'],
    ["travel --place a -- far", 'travel does not take the argument "far"'],
    ["help travel arrive", "help takes the name of one command"],
    ["help travle", 'there is no command "travle"; did you mean "travel"?'],
  ] as const) {
    const result = await runWords(table, line.split(" "));
    t.strictSame(result, { status: 2, stdout: "", stderr: `mayfly: ${sentence}\n` }, line);
  }
});

t.test("an argument without a name stands for the option that the command says", async (t) => {
  const named = { ...command(still), argument: "note" };
  t.match(readOptions(named, ["far", "--place", "a"], {}), { note: "far", place: "a" });
  t.match(readOptions(named, ["--place", "a", "--", "-far"], {}), { note: "-far" });
  t.throws(() => readOptions(named, ["far", "away", "--place", "a"], {}), /does not take the argument "away"/);
  t.throws(() => readOptions(named, ["--note", "x", "far", "--place", "a"], {}), /does not take the argument "far"/);
  t.throws(() => readOptions(named, ["far", "--note", "x", "--place", "a"], {}), /--note is given twice/);
});

t.test("no command at all: the list, as a mistake", async (t) => {
  const { status, stdout, stderr } = await runWords(tableOf(still), []);
  t.equal(status, 2);
  t.equal(stdout, "");
  t.match(stderr, /^ {2}travel +go$/m);
});

t.test("help, three ways, without running or loading more than it must", async (t) => {
  const table = tableOf(() => Promise.reject(new Error("it ran")));
  const list = await runWords(table, ["--help"]);
  t.equal(list.status, 0);
  t.match(list.stdout, /^ {2}travel +go\n {2}arrive +stay$/m);
  t.strictSame(await runWords(table, ["help"]), list);
  t.strictSame(await runWords(table, ["-h"]), list);

  const one = await runWords(table, ["travel", "--place", "x", "--help"]);
  t.equal(one.status, 0);
  t.match(one.stdout, /^Usage: mayfly travel \[OPTION …\]\n\nGoes\.\n/);
  t.strictSame(await runWords(table, ["help", "travel"]), one);
  t.strictSame(await runWords(table, ["travel", "-h"]), one);
});

t.test("help says of an option what there is to say", async (t) => {
  const { stdout } = await runWords(tableOf(still), ["travel", "--help"]);
  t.match(stdout, /^ {2}-p, --place DIR +where \(required; environment: TEST_PLACE\)$/m);
  t.match(stdout, /^ {2}--speed VALUE +how fast \(default: 5\)$/m);
  t.match(stdout, /^ {2}--name VALUE +a name \(may be repeated\)$/m);
  t.match(stdout, /^ {2}--quiet +say nothing$/m);
  t.match(stdout, /^ {2}--note TEXT +a remark \(default: what the command thinks\)$/m);
});

t.test("a failure: one sentence, exit 1, a stack only when asked for, no control characters", async (t) => {
  const table = tableOf(() => Promise.reject(new Error("the bridge is out\u001b[31m")));
  const args = ["travel", "--place", "x"];
  t.strictSame(await runWords(table, args), { status: 1, stdout: "", stderr: "mayfly: the bridge is out [31m\n" });
  const debugged = await runWords(table, args, { env: { MAYFLY_DEBUG: "1" } });
  t.match(debugged.stderr, /^mayfly: the bridge is out.*\nError: the bridge is out[^]*\n {4}at /);
});

t.test("the exit status of a command is its own", async (t) => {
  t.equal(
    (
      await runWords(
        tableOf(async () => 3),
        ["travel", "--place", "x"],
      )
    ).status,
    3,
  );
  t.equal((await runWords(tableOf(still), ["travel", "--place", "x"])).status, 0);
});

t.test("whole numbers have limits", async (t) => {
  const limits = { least: 1, most: 60, unit: "seconds" };
  t.equal(wholeNumber("timeout", "60", limits), 60);
  for (const text of ["0", "61", "-1", "1.5", "1e1", "", " 1", "9".repeat(400)]) {
    t.throws(() => wholeNumber("timeout", text, limits), UsageError, text);
  }
  t.throws(() => wholeNumber("timeout", "soon", limits), {
    message: '--timeout is "soon", expected a whole number of seconds from 1 to 60',
  });
});

t.test("the nearest word, when it is near", async (t) => {
  t.equal(nearest("serv", ["serve", "request"]), "serve");
  t.equal(nearest("--spife-id", ["--spiffe-id", "--dns"]), "--spiffe-id");
  t.equal(nearest("dance", ["serve", "request"]), undefined);
  t.equal(nearest("x".repeat(10_000), ["serve"]), undefined);
});
