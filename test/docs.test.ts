/** The documentation against the program: examples load or run, commands, links, names and tables are right. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { evidenceFormats, formatNamed } from "../src/attestation/registry.ts";
import { commands } from "../src/cli/commands.ts";
import { loadConfiguration } from "../src/config/load.ts";
import { problems } from "../src/problem/problem.ts";
import { certificateAuthority, type TestAuthority } from "./support/certificateAuthority.ts";
import { runInShell } from "./support/inShell.ts";

const repository = fileURLToPath(new URL("..", import.meta.url));
const filesIn = (folder: string): string[] =>
  readdirSync(join(repository, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(folder, name));
const pages = new Map(
  [...filesIn("."), ...filesIn("docs"), ...filesIn("docs/decisions")].map((name) => [
    name,
    readFileSync(join(repository, name), "utf8"),
  ]),
);
const page = (name: string): string => pages.get(name) ?? "";

interface Fence {
  readonly page: string;
  /** What stands behind the opening fence: language and marks. */
  readonly info: string;
  readonly text: string;
}

const fences: readonly Fence[] = [...pages].flatMap(([name, text]) =>
  [...text.matchAll(/^( *)```([^\n]+)\n(.*?)^ *```$/gms)].map(([, indent = "", info = "", inside = ""]): Fence => ({
    page: name,
    info,
    text: inside.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
  })),
);
const marked = (info: string, name?: string): Fence[] =>
  fences.filter((fence) => fence.info === info && (name ?? fence.page) === fence.page);

t.test("the pages are found, and every mark on a fence means something", async (t) => {
  for (const name of [
    "README.md",
    "docs/rest.md",
    "docs/operations.md",
    "docs/workload-attest-01.md",
    "docs/decisions/0001-first-shape.md",
  ]) {
    t.ok(pages.has(name), name);
  }
  for (const { page: name, info } of fences)
    t.match(
      info,
      /^(sh( ceremony| run( softhsm| tpm( certify)?)?)?|yaml configuration|json|ts|text)$/,
      `${name}: ${info}`,
    );
});

t.test("README: the two commands, each in one line", async (t) => {
  const lines = marked("sh", "README.md").map(({ text }) => text.trim());
  t.ok(lines.includes("npm ci && npm start"));
  t.ok(lines.includes("npm ci && npm test"));
});

t.test("configurations load", async (t) => {
  const examples = marked("yaml configuration");
  t.ok(examples.length >= 5);
  const etc = t.testdir({ "database-url": "postgresql://mayfly@db.example/mayfly" });
  for (const { page: name, text } of examples) {
    const file = join(etc, "mayfly.yaml");
    await writeFile(file, text.replaceAll("/etc/mayfly", etc));
    t.doesNotThrow(() => loadConfiguration(file, {}), `${name}: ${text.split("\n")[0]}`);
  }
});

t.test("internal links lead somewhere", async (t) => {
  for (const [name, text] of pages) {
    for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const file = path === "" ? name : join(dirname(name), path);
      if (!t.ok(existsSync(join(repository, file)), `${name}: ${target}`) || anchor === undefined) continue;
      t.ok(anchorsOf(page(file)).includes(anchor), `${name}: ${target}`);
    }
  }
});

/** Headings as GitHub makes anchors of them. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

t.test("commands and options that are mentioned exist, and no command is forgotten", async (t) => {
  const table = new Map(commands.map((entry) => [entry.name, entry]));
  const mentioned = new Set<string>();
  const spans = [...pages.values()].flatMap((text) => [...text.matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span));
  const lines = fences
    .filter(({ info }) => info.startsWith("sh"))
    .flatMap(({ text }) => text.replaceAll("\\\n", " ").split("\n"));
  for (const text of [...spans, ...lines]) {
    for (const found of text.matchAll(
      /(?:npx mayfly|mayfly\.js|(?<![\w/.=-])mayfly) (?<command>[a-z][a-z-]*)(?: (?<second>[a-z][a-z-]*))?/g,
    )) {
      const { command = "", second = "" } = found.groups ?? {};
      const name = table.has(`${command} ${second}`) ? `${command} ${second}` : command;
      const entry = table.get(name);
      if (!t.ok(entry, `mayfly ${name}`) || entry === undefined) continue;
      mentioned.add(name);
      const options = Object.keys((await entry.load()).options);
      // What is quoted is for somebody else, and so is what follows a closing quote or a pipe.
      const own =
        text
          .slice(found.index + found[0].length)
          .replaceAll(/'[^']*'/g, "")
          .split(/['|;]/)[0] ?? "";
      for (const [, option = ""] of own.matchAll(/(?<= )--([a-z0-9-]+)/g)) {
        t.ok([...options, "help"].includes(option), `mayfly ${name} --${option}`);
      }
    }
  }
  t.strictSame([...mentioned].sort(), [...table.keys()].sort());
});

t.test("workload-attest-01: reasons and formats are those of the program", async (t) => {
  const text = page("docs/workload-attest-01.md");
  const told = [...text.matchAll(/^\| `(urn:mayfly:workload-attest:error:\w+)` \|/gm)].map(([, urn = ""]) => urn);
  const types = Object.values(problems).map(({ type }): string => type);
  t.strictSame(told.sort(), types.filter((type) => type.startsWith("urn:mayfly:workload-attest:error:")).sort());
  for (const format of evidenceFormats) {
    const where = formatNamed(format).deviceClaims === undefined ? text : page("docs/device-attest-01.md");
    t.match(where, `### Format \`${format}\``);
  }
});

t.test("the REST page and the README's examples, on a running server", async (t) => {
  const folder = await temporaryFolder(t);
  const dataDir = join(folder, "data");
  await mkdir(dataDir, { mode: 0o700 });
  const authority = await certificateAuthority(t, { dataDir });
  const env = { MAYFLY_DIRECTORY: authority.directoryUrl, MAYFLY_EXTERNAL_URL: authority.url };
  const examples = [...marked("sh run", "README.md"), ...marked("sh run", "docs/rest.md")];
  t.ok(examples.length >= 6);
  for (const { page: name, text } of examples) {
    const output = await runInShell(folder, text.replaceAll("https://localhost:8443", authority.url), env);
    t.not(output, "", `${name}: ${text.split("\n")[0]}`);
  }
  await compareObjects(t, authority);
  await comparePaths(t, authority);
});

/** Every member that the pages show is there, and the other way round. */
async function compareObjects(t: Test, ca: TestAuthority): Promise<void> {
  const samples = marked("json", "docs/rest.md").map(({ text }) => JSON.parse(text) as Record<string, unknown>);
  const { certificates } = (await ca.inventory("/certificates?limit=1")).body;
  t.strictSame(shapeOf(samples[0]), shapeOf((certificates as unknown[])[0]), "a certificate");
  t.strictSame(shapeOf(samples[1]), shapeOf((await ca.inventory("/identities?prefix=spiffe:")).body), "identities");
  const meta = (await ca.authority.server.inject("/acme/directory")).json<{ meta: Record<string, unknown> }>().meta;
  const shown = marked("json", "docs/workload-attest-01.md").map(
    ({ text }) => JSON.parse(text) as Record<string, unknown>,
  );
  t.strictSame(
    shapeOf(shown.find((sample) => "inlineEvidence" in sample)),
    shapeOf(meta["workloadAttestation"]),
    "the directory",
  );
}

/** A value with its members sorted and its leaves replaced by their types; of a list, its first entry. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, shapeOf(inner)]),
  );
}

/** Paths in backquotes. */
const pathsIn = (text: string): string[] => [...text.matchAll(/`(\/[^`{]*)`/g)].map(([, path = ""]) => path);

/** What the README calls stable, and what the REST page calls public, answers. */
async function comparePaths(t: Test, { authority, operatorToken }: TestAuthority): Promise<void> {
  const table = page("README.md").split("## Interface")[1]?.split("\n## ")[0] ?? "";
  const open = page("docs/rest.md").split("## Without a token")[1] ?? "";
  t.ok(pathsIn(table).length >= 8 && pathsIn(open).length >= 6);
  for (const url of pathsIn(open)) t.equal((await authority.server.inject(url)).statusCode, 200, url);
  for (const url of pathsIn(table)) {
    const { statusCode } = await authority.server.inject({
      url,
      headers: { authorization: `Bearer ${operatorToken}` },
    });
    t.equal(statusCode, 200, url);
  }
}

t.test("the SoftHSM walkthrough", async (t) => {
  const folder = await temporaryFolder(t);
  const [walkthrough] = marked("sh run softhsm");
  const output = await runInShell(folder, walkthrough?.text ?? "exit 1", {});
  t.match(output, /Made a new CA\.\n {2}keys {6}PKCS#11 token mayfly \(SoftHSM v2\)\n/);
  t.ok(existsSync(join(folder, "data", "root.pem")));
});

async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mayfly-docs-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
