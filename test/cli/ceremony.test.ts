/** `mayfly ceremony` as it asks: on a terminal that a test types at. */
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import t, { type Test } from "tap";
import { parse } from "yaml";

import { runCommandLine } from "../../src/cli/command.ts";
import { commands } from "../../src/cli/commands.ts";

interface Typed {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Answers the questions in their order; the terminal closes behind the last answer. */
async function type(
  folder: string,
  answers: readonly string[],
  parameters: readonly string[] = [],
  terminal = true,
): Promise<Typed> {
  const stdin = Object.assign(new PassThrough(), { isTTY: terminal });
  stdin.end(answers.map((answer) => `${answer}\n`).join(""));
  const [out, err]: [string[], string[]] = [[], []];
  const env = { MAYFLY_DATA_DIR: join(folder, "data"), MAYFLY_TRUST_DOMAIN: "mayfly.test" };
  const world = {
    env,
    stdin,
    stdout: { write: (text: string) => out.push(text) },
    stderr: { write: (text: string) => err.push(text) },
  };
  const status = await runCommandLine(["ceremony", ...parameters], commands, world);
  return { status, stdout: out.join(""), stderr: err.join("") };
}

async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-ceremony-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

t.test("questions with defaults become a ceremony that is written, agreed to, and can be held again", async (t) => {
  const folder = await temporaryFolder(t);
  const [yaml, root] = [join(folder, "offline.yaml"), join(folder, "root.pem")];
  const answers = [
    "2",
    "offline root",
    "offline-root",
    "Ada Lovelace, Grace Hopper",
    "",
    "ec-p999",
    "ec-p256",
    "",
    "",
    "0",
    "30",
    "root.pem",
    yaml,
    "y",
    "yes",
  ];
  const { status, stdout, stderr } = await type(folder, answers);
  t.equal(status, 0, stderr);
  t.match(stdout, /1 {2}a root and an issuing CA, both with their keys here/);
  t.match(stdout, /expected lower-case letters, digits and dashes, 64 at most/);
  t.match(stdout, /expected one of ec-p256, ec-p384/);
  t.match(stdout, /expected days from 1 to 10950/);
  t.match(
    stdout,
    /will do:[^]*writes it to root\.pem[^]*Do this\? \[yes\/no\]: {3}expected yes or no\n/,
    "a y is no yes",
  );
  t.match(stdout, /The ceremony is done\./);
  t.same(parse(readFileSync(yaml, "utf8")), {
    name: "offline-root",
    operators: ["Ada Lovelace", "Grace Hopper"],
    steps: [
      {
        step: "makeRoot",
        keyLabel: "mayfly-issuing-root",
        keyKind: "ec-p256",
        subject: { organization: "Mayfly", commonName: "Mayfly Root CA mayfly.test" },
        lifetimeDays: 30,
        certificateFile: "root.pem",
      },
    ],
  });
  t.ok(existsSync(root));
  t.notOk(existsSync(join(folder, "data", "postgres")), "no database for a machine that only signs");
  const transcript = readFileSync(join(folder, "data", "ceremonies", "offline-root.txt"), "utf8");
  t.match(transcript, /operators {3}Ada Lovelace, Grace Hopper\n[^]*agreed to at the terminal/);

  const again = await type(folder, [], ["--file", yaml, "--yes"], false);
  t.equal(again.status, 0, again.stderr);
  t.match(again.stdout, /was done before/);
});

t.test("what is not agreed to is not done", async (t) => {
  const folder = await temporaryFolder(t);
  const yaml = join(folder, "root.yaml");
  const answers = ["2", "", "", "", "", "", "", "", "", "no"];
  const { status, stdout } = await type(folder, answers, ["--write", yaml]);
  t.equal(status, 1);
  t.match(stdout, /was not agreed to; nothing of this step was done\nThe ceremony was stopped\./);
  t.notOk(existsSync(join(folder, "root.pem")));
  t.notOk(existsSync(join(folder, "data", "keys", "mayfly-issuing-root.pem")), "no key either");
  const taken = await type(folder, answers, ["--write", yaml]);
  t.match(taken.stderr, /the file .*root\.yaml cannot be made \(EEXIST\)/);
});

t.test("all purposes end in a ceremony that is valid", async (t) => {
  for (const [purpose, questions] of [
    ["1", 18],
    ["2", 9],
    ["3", 11],
    ["4", 8],
    ["5", 6],
    ["6", 7],
  ] as const) {
    const folder = await temporaryFolder(t);
    const yaml = join(folder, "c.yaml");
    const blanks = Array.from({ length: questions - 1 }, () => "");
    const { stdout } = await type(folder, [purpose, ...blanks, "no"], ["--write", yaml]);
    t.match(stdout, /Written to .*c\.yaml; run it again with: mayfly ceremony --file /, purpose);
  }
});

t.test("command lines that cannot be meant", async (t) => {
  const folder = await temporaryFolder(t);
  const refused = async (parameters: string[], terminal: boolean, message: RegExp): Promise<void> => {
    const { status, stderr } = await type(folder, [], parameters, terminal);
    t.equal(status, 2);
    t.match(stderr, message);
  };
  await refused([], false, /give --file FILE --yes where there is none/);
  await refused(["--file", "a.yaml"], false, /give --yes where there is none/);
  await refused(["--yes"], true, /--yes with --file alone/);
  await refused(["--file", "a.yaml", "--write", "b.yaml"], true, /--write or --file, not both/);
  t.match((await type(folder, [], ["--file", join(folder, "a.yaml"), "--yes"])).stderr, /cannot be read \(ENOENT\)/);
  t.match((await type(folder, [])).stderr, /the input ended before the question was answered/);
});
