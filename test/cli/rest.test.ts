/** The operator's commands over REST: where the server is found, and what its answers become. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { defineCommand } from "../../src/cli/command.ts";
import { restOptions, tableOf, withRest } from "../../src/cli/rest.ts";
import { certificateAuthority } from "../support/certificateAuthority.ts";
import { runWords } from "../support/commandLine.ts";

/** Commands that print what they get. */
const table = (
  [
    ["list", (rest) => rest.get("/incidents", { limit: "5", open: undefined })],
    ["make", (rest) => rest.post("/incidents", { reason: "test", certificates: { issuer: "x" } })],
    ["none", (rest) => rest.delete("/incidents/1")],
  ] as [string, Parameters<typeof withRest>[1]][]
).map(([word, action]) => ({
  name: `thing ${word}`,
  summary: `${word} things`,
  load: async () =>
    defineCommand({
      name: `thing ${word}`,
      summary: `${word} things`,
      usage: "",
      description: "",
      options: restOptions,
      examples: [],
      run: async (context) => {
        context.stdout.write(`${JSON.stringify(await withRest(context, action))}\n`);
      },
    }),
}));

t.test("commands of two words: found, listed, and corrected", async (t) => {
  t.match(await runWords(table, ["thing"]), { status: 2, stderr: /Usage: mayfly thing COMMAND/ });
  t.match(await runWords(table, ["thing", "--help"]), { status: 0, stdout: /^ {2}list +list things$/m });
  t.match(await runWords(table, ["help", "thing"]), { status: 0, stdout: /^ {2}none /m });
  t.match(await runWords(table, ["thing", "list", "--help"]), { status: 0, stdout: /--token-file FILE/ });
  t.match(await runWords(table, ["help", "thing", "list"]), { status: 0, stdout: /^Usage: mayfly thing list/ });
  t.match(await runWords(table, ["thing", "lst"]), { status: 2, stderr: /did you mean "thing list"\?/ });
  t.match(await runWords(table, ["thin", "list"]), { status: 2, stderr: /no command "thin"; did you mean "thing"\?/ });
});

t.test("REST from the command line", async (t) => {
  const ca = await certificateAuthority(t);
  const config = join(ca.dataDir, "mayfly.yaml");

  await t.test("the configuration says where the server is", async (t) => {
    const { status, stdout, stderr } = await runWords(table, ["thing", "list", "--config", config]);
    t.same({ status, stderr }, { status: 0, stderr: "" });
    t.same(JSON.parse(stdout), { incidents: [] });
  });

  await t.test("options say it without any configuration", async (t) => {
    const options = ["--server", `${ca.url}/`, "--root", join(ca.dataDir, "root.pem")];
    const token = ["--token-file", join(ca.dataDir, "operator-token")];
    const world = { env: { MAYFLY_CONFIG: "/nowhere" } };
    t.match(await runWords(table, ["thing", "list", ...options, ...token], world), { status: 0 });
  });

  await t.test("what the server refuses is told in its own words", async (t) => {
    t.match(await runWords(table, ["thing", "make", "--config", config]), { status: 1, stderr: /^mayfly: \S+.*\n$/ });
    const wrong = join(t.testdir(), "token");
    await writeFile(wrong, "x".repeat(40));
    const refused = await runWords(table, ["thing", "list", "--config", config, "--token-file", wrong]);
    t.match(refused, { status: 1, stderr: /operator token/ });
    t.notMatch(refused.stderr, /xxxx/);
    t.match(await runWords(table, ["thing", "none", "--config", config]), { status: 1, stderr: /not allowed/ });
  });

  await t.test("nobody there, no token, another root: a sentence each", async (t) => {
    const env = { MAYFLY_DATA_DIR: t.testdir() };
    t.match(await runWords(table, ["thing", "list"], { env }), {
      status: 1,
      stderr: /root\.pem is not there; is this/,
    });
    const files = ["--root", join(ca.dataDir, "root.pem"), "--token-file", join(ca.dataDir, "operator-token")];
    const away = await runWords(table, ["thing", "list", ...files, "--server", "https://localhost:9"]);
    t.match(away, { status: 1, stderr: /^mayfly: .*localhost:9/ });
    const other = join(t.testdir(), "root.pem");
    await writeFile(other, (await import("node:tls")).rootCertificates[0] ?? "");
    const untrusted = await runWords(table, ["thing", "list", "--config", config, "--root", other]);
    t.equal(untrusted.status, 1);
    for (const part of ["not trusted", other, "--root", "MAYFLY_DATA_DIR"]) t.ok(untrusted.stderr.includes(part), part);
  });
});

t.test("a table is as wide as its cells", async (t) => {
  t.equal(tableOf(["KID", "USES"], [["a-long-one", "1"], ["b"]]), "KID         USES\na-long-one  1\nb\n");
});
