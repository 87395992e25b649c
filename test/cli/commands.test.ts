import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import t from "tap";
import { commands } from "../../src/cli/commands.ts";
import { runWords } from "../support/commandLine.ts";

const main = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

t.test("what the table says of a command is what the command says", async (t) => {
  for (const entry of commands) {
    const { name, summary } = await entry.load();
    t.strictSame({ name, summary }, { name: entry.name, summary: entry.summary });
  }
});

t.test("every command has its help, in lines that fit", async (t) => {
  for (const { name } of commands) {
    const { status, stdout } = await runWords(commands, [...name.split(" "), "--help"]);
    t.equal(status, 0);
    const [withoutExamples = ""] = stdout.split("\nExamples:");
    t.notOk(
      withoutExamples.split("\n").find((line) => line.length > 100),
      name,
    );
  }
});

/** Prints every module that is not Node's own, as it is loaded. */
const spy = `data:text/javascript,import { registerHooks } from "node:module";
registerHooks({ load(url, context, next) { if (url.startsWith("file:")) console.error("loaded " + url); return next(url, context); } });`;

t.test("main: help loads no package and no command", async (t) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", spy, main, "--help"], {
    encoding: "utf8",
  });
  t.equal(status, 0);
  t.match(stdout, /^ {2}request +obtain a certificate/m);
  const loaded = stderr.match(/^loaded .*$/gm) ?? [];
  t.strictSame(loaded.map((line) => line.replace(/.*\/src\//, "")).sort(), [
    "cli/command.ts",
    "cli/commands.ts",
    "cli/help.ts",
    "main.ts",
  ]);
});

t.test("main: the help of a command loads no package", async (t) => {
  for (const { name } of commands) {
    const { stderr } = spawnSync(process.execPath, ["--import", spy, main, ...name.split(" "), "--help"], {
      encoding: "utf8",
    });
    t.match(stderr, /loaded .*\/src\/cli\//);
    t.notMatch(stderr, /node_modules/, name);
  }
});

t.test("main: exit status and stderr of a mistake", async (t) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, "reqest"], { encoding: "utf8" });
  t.strictSame(
    { status, stdout, stderr },
    { status: 2, stdout: "", stderr: 'mayfly: there is no command "reqest"; did you mean "request"?\n' },
  );
});
