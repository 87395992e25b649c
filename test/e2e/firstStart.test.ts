/** What a person meets: the first start and its banner, the second start, Ctrl-C, kill -9, and the sentences for what cannot be. */
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { existsSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import t, { type Test } from "tap";

import { findPostmaster } from "../../src/store/embeddedPostmaster.ts";
import { inventoryOf } from "../support/inventoryOf.ts";
import { repository, run, runMayfly, type Ended } from "../support/program.ts";
import { serverPlace, startServer } from "../support/serverProcess.ts";
import { listen } from "../support/validationTargets.ts";

const modeOf = async (file: string): Promise<string> => ((await stat(file)).mode & 0o777).toString(8);

/** What a start says that cannot be: status 1, and one sentence. */
async function refusedStart(t: Test, ended: Ended, sentence: RegExp): Promise<void> {
  t.equal(ended.status, 1);
  t.match(ended.stderr, sentence);
  t.match(ended.stderr, /^mayfly: [^\n]+\n$/, "one sentence, no stack");
}

// tap gives a file 30 seconds; on a busy machine the many starts below take more.
t.setTimeout(240_000);

const first = await serverPlace(t);

t.test("a first start: its files, and who may read them", async (t) => {
  const server = await startServer(t, first);
  const { dataDir } = first;
  const inside = (name: string): string => join(dataDir, name);
  t.equal(await modeOf(dataDir), "700");
  for (const name of ["operator-token", "dev-issuer.jwk", "key-passphrase"])
    t.equal(await modeOf(inside(name)), "600", name);
  t.match(await modeOf(inside("root.pem")), /44$/, "everybody may read the root");
  const keys = readdirSync(inside("keys"));
  t.equal(await modeOf(inside("keys")), "700");
  t.equal(keys.length, 2, "root and issuing CA");
  for (const name of keys) {
    const file = join(inside("keys"), name);
    t.equal(await modeOf(file), "600", name);
    const { status, stderr } = await run("openssl", ["pkey", "-in", file, "-passin", "pass:wrong", "-noout"]);
    t.not(status, 0, `${name}: no key without the passphrase`);
    t.notMatch(stderr, /expecting: ANY PRIVATE KEY/, `${name}: but a key`);
    t.match(await readFile(file, "utf8"), "-----BEGIN ENCRYPTED PRIVATE KEY-----");
  }
  t.match((await readFile(inside("operator-token"), "utf8")).trim(), /^\S{32,}$/);
  t.match(server.printed.stdout, /made a new CA/);
  t.match(server.printed.stdout, /DEVELOPMENT KEYS/);
  t.match(server.printed.stdout, /DEVELOPMENT EVIDENCE SOURCE "dev"/);
  t.equal(server.printed.stderr, "");
  t.equal(await server.stop("SIGINT"), 0, "Ctrl-C ends it cleanly");
  t.equal(await findPostmaster(join(dataDir, "postgres/cluster")), undefined, "and its PostgreSQL");
});

/** Every line below "Copy and paste" that is neither empty nor a heading. */
function copyPasteLines(banner: string): readonly string[] {
  const [, below = ""] = banner.split("Copy and paste, in another terminal:\n");
  return below.split("\n").filter((line) => line !== "" && !line.startsWith("#") && line !== "Ctrl-C stops it.");
}

/** A person's environment: npm's own additions to PATH are not in it, and where curl is not installed there is a stand-in. */
async function personsEnvironment(home: string): Promise<Record<string, string>> {
  await mkdir(join(home, "stand-ins"), { recursive: true });
  const curl = join(home, "stand-ins/curl");
  await writeFile(curl, `#!/bin/sh\nexec '${process.execPath}' '${join(repository, "test/support/curl.ts")}' "$@"\n`);
  await chmod(curl, 0o755);
  const path = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => !folder.includes("node_modules"));
  return { HOME: home, PATH: [...path, join(home, "stand-ins")].join(delimiter) };
}

t.test("the banner's lines, as printed, in the server's folder", async (t) => {
  const server = await startServer(t, first);
  const lines = copyPasteLines(server.printed.stdout);
  t.strictSame(
    lines.map((line) => /\b(certbot|lego|mayfly|curl)\b/.exec(line.replace(/^(\w+=\S+ )+/, ""))?.[1]),
    ["certbot", "lego", "mayfly", "curl"],
  );
  const env = await personsEnvironment(join(first.dataDir, "home"));
  const printed: string[] = [];
  for (const line of lines) {
    const { status, stdout, stderr } = await run("bash", ["-c", line], { cwd: repository, env });
    t.equal(status, 0, `${line}\n${stderr}`);
    printed.push(stdout);
  }
  const { certificates = [] } = JSON.parse(printed.at(-1) ?? "{}") as {
    certificates?: { dnsNames: string[]; spiffeId: string | null }[];
  };
  t.strictSame(
    certificates.slice(0, 3).map(({ dnsNames, spiffeId }) => spiffeId ?? dnsNames.join()),
    ["spiffe://mayfly.localhost/dev/agent-1", "lego.localhost", "certbot.localhost"],
    "the inventory shows what the other lines obtained",
  );
  t.equal(await server.stop("SIGTERM"), 0);
});

t.test("the next start: same root, same token, same data, no new CA", async (t) => {
  const kept = ["root.pem", "operator-token", "dev-issuer.jwk", "key-passphrase"].map((name) =>
    join(first.dataDir, name),
  );
  const before = await Promise.all(kept.map((file) => readFile(file, "utf8")));
  const server = await startServer(t, first);
  t.strictSame(await Promise.all(kept.map((file) => readFile(file, "utf8"))), before);
  t.notMatch(server.printed.stdout, /made a new CA/);
  t.equal((await inventoryOf(server, "dnsName=lego.localhost")).length, 1);

  const second = await runMayfly(["serve"], { env: { ...first.env, MAYFLY_LISTEN: "localhost:1" } });
  await refusedStart(
    t,
    second,
    /the data directory \S+ is in use by another Mayfly server: stop that one, or set MAYFLY_DATA_DIR/,
  );
  t.equal((await server.get("/readyz")).status, 200, "the first one is not troubled");
});

t.test("kill -9: the database goes on, and the next start goes on with it", async (t) => {
  const cluster = join(first.dataDir, "postgres/cluster");
  const server = await startServer(t, first);
  const postmaster = await findPostmaster(cluster);
  t.equal(await server.stop("SIGKILL"), null);
  t.match(await findPostmaster(cluster), { pid: postmaster?.pid }, "orphaned");
  const next = await startServer(t, first);
  t.match(await findPostmaster(cluster), { pid: postmaster?.pid }, "adopted");
  t.equal(next.root, server.root, "the same CA");
  t.equal((await inventoryOf(next, "dnsName=lego.localhost")).length, 1, "the same data");
  t.equal(await next.stop("SIGINT"), 0);
  t.equal(await findPostmaster(cluster), undefined, "an adopted database is stopped as well");
});

t.test("a port in use", async (t) => {
  const port = await listen(t, createServer());
  const ended = await runMayfly(["serve"], { env: { ...first.env, MAYFLY_LISTEN: `127.0.0.1:${port}` } });
  await refusedStart(t, ended, new RegExp(`^mayfly: 127\\.0\\.0\\.1:${port} is in use; set MAYFLY_LISTEN`));
  t.equal(await findPostmaster(join(first.dataDir, "postgres/cluster")), undefined, "nothing is left running");
});

t.test("configurations that cannot be, by file and by environment: key, value and what was expected", async (t) => {
  const folder = t.testdir();
  const file = join(folder, "mayfly.yaml");
  const files: readonly [text: string, sentence: RegExp][] = [
    ["listne: localhost:1\n", /listne.*(unknown|expected)/],
    ["database:\n  poolSize: many\n", /database\.poolSize: "many": expected .*integer/],
    ["database:\n  poolSize: 5000\n", /database\.poolSize: 5000: expected .*200/],
    ["tls:\n  mode: sometimes\n", /tls\.mode: "sometimes": expected .*auto/],
    ["keys:\n  provider: pkcs11\n", /keys\.pkcs11\.module: is missing: expected/],
    ["listen: [1, 2]\n", /listen: \[1,2\]: expected .*string/],
    ["a: 1\na: 2\n", /unique/],
    ["grants: none\n", /grants: "none": expected .*array/],
  ];
  for (const [text, sentence] of files) {
    await writeFile(file, text);
    await refusedStart(t, await runMayfly(["check-config", "--config", file]), sentence);
  }
  // The last file is the one that stays, for `serve` to refuse as well.
  const environment: readonly [variable: string, value: string, sentence: RegExp][] = [
    ["MAYFLY_HTTP01_PORT", "eighty", /validation\.http01Port.*"eighty".*expected/],
    ["MAYFLY_LISTEN", "nowhere", /listen.*"nowhere".*expected/],
    ["MAYFLY_VALIDATION_ALLOW_PRIVATE", "perhaps", /validation\.allowPrivate.*"perhaps".*expected/],
    ["MAYFLY_CONFIG", join(folder, "absent.yaml"), /absent\.yaml cannot be read/],
    ["MAYFLY_CONFIG", file, /grants: "none"/],
  ];
  for (const [variable, value, sentence] of environment) {
    const env = { MAYFLY_DATA_DIR: join(folder, "data"), [variable]: value };
    await refusedStart(t, await runMayfly(["serve"], { env }), sentence);
  }
  t.notOk(existsSync(join(folder, "data")), "nothing was begun");
});

t.test("check-config: the default file, and no file", async (t) => {
  const checked = await runMayfly(["check-config", "--config", "config/default.yaml"]);
  t.match(checked, { status: 0, stderr: "", stdout: /^The configuration is valid \(config\/default\.yaml\)\./ });
  t.match(await runMayfly(["check-config"]), { status: 0, stderr: "" });
});

t.test("migrate, then init, then serve", async (t) => {
  const place = await serverPlace(t);
  const { env } = place;
  t.match(await runMayfly(["migrate"], { env }), { status: 0, stdout: /^Ran 001-/, stderr: "" });
  t.match(await runMayfly(["migrate"], { env }), { status: 0, stdout: "The schema is up to date.\n", stderr: "" });
  const made = await runMayfly(["init"], { env });
  t.match(made, { status: 0, stdout: /^Made a new CA\.\n/, stderr: "" });
  const root = await readFile(place.rootFile, "utf8");
  t.match(await runMayfly(["init"], { env }), { status: 0, stdout: /nothing was changed/ });
  const server = await startServer(t, place);
  t.equal(server.root, root, "serve goes on with the root that init made");
  t.notMatch(server.printed.stdout, /made a new CA/);
  t.equal((await server.get("/readyz")).status, 200);
});
