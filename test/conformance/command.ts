/**
 * `npm run conformance`: runs the tests that carry requirement ids and writes docs/acme-conformance.md. With `check FILE` or `write FILE` it
 * runs nothing: it compares the page with what another run recorded into the file (test/run.js), or writes the page from it.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { pending } from "./pending.ts";
import type { RecordedTest } from "./recorder.ts";
import { attacks, documents } from "./requirements.ts";
import { conformance, type Conformance } from "./table.ts";
import { mayCarryIds } from "./testIds.ts";

const root = path.join(import.meta.dirname, "..", "..");
const pageFile = path.join(root, "docs", "acme-conformance.md");
const testMsMax = 300_000;

const [action = "write", file] = process.argv.slice(2);
const usage = `usage: npm run conformance [-- write FILE | -- check FILE]

Without anything it runs every test that carries a requirement id, which takes several minutes, and writes
docs/acme-conformance.md from their results.

  write FILE   runs nothing: writes the page from what another run recorded into FILE
  check FILE   runs nothing: says whether the page is what FILE yields (npm test does)
  --help       this text`;

if (action === "--help" || action === "-h") console.log(usage);
else if (action === "check" && file !== undefined) check(file);
else if (action === "write" && file === undefined) write();
else if (action === "write" && file !== undefined) report(writePage(file));
else {
  console.error(usage);
  process.exitCode = 2;
}

/** Says what is wrong, and nothing when all is well. */
function check(recordedFile: string): void {
  const { markdown, faults } = fromRecord(recordedFile);
  const stale =
    markdown !== readPage() ? ["docs/acme-conformance.md is not what this run yields: npm run conformance"] : [];
  report([...faults, ...stale]);
}

function write(): void {
  const folder = mkdtempSync(path.join(os.tmpdir(), "mayfly-conformance-"));
  try {
    const recordedFile = path.join(folder, "tests.jsonl");
    const reporters = [
      ["spec", "stdout"],
      ["./test/conformance/recorder.ts", recordedFile],
    ].flatMap(([name, destination]) => [`--test-reporter=${name}`, `--test-reporter-destination=${destination}`]);
    const { status } = spawnSync(
      process.execPath,
      ["--test", "--test-concurrency=2", `--test-timeout=${testMsMax}`, ...reporters, ...filesWithIds()],
      { cwd: root, stdio: "inherit", env: { TAP_TIMEOUT: String(testMsMax / 1000), ...process.env } },
    );
    const faults = writePage(recordedFile);
    report(status === 0 ? faults : [...faults, "tests failed"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @returns what is wrong with what the page says */
function writePage(recordedFile: string): readonly string[] {
  const { markdown, faults } = fromRecord(recordedFile);
  writeFileSync(pageFile, markdown);
  console.log("\nwritten: docs/acme-conformance.md");
  return faults;
}

/** Every test file that may have tests for the table, wherever below test/ it is. */
function filesWithIds(): string[] {
  return readdirSync(path.join(root, "test"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => path.join("test", name))
    .filter((name) => mayCarryIds(readFileSync(path.join(root, name), "utf8")))
    .sort();
}

function fromRecord(recordedFile: string): Conformance {
  const lines = readFileSync(recordedFile, "utf8").split("\n");
  const tests = lines.filter((line) => line !== "").map((line) => JSON.parse(line) as RecordedTest);
  return conformance({ documents, attacks, pending, tests });
}

function readPage(): string {
  try {
    return readFileSync(pageFile, "utf8");
  } catch {
    return "";
  }
}

function report(faults: readonly string[]): void {
  if (faults.length === 0) return;
  console.error(`\nconformance:\n${faults.map((fault) => `  ${fault}`).join("\n")}`);
  process.exitCode = 1;
}
