/**
 * The embedded PostgreSQL as a person meets it: first and second start, kill -9, root, two servers at once.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, cp, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { Client } from "pg";
import t, { type Test } from "tap";

import { type Placement, placeDatabase } from "../../src/store/embeddedAccount.ts";
import { binariesIn, installedPostgres } from "../../src/store/embeddedBinaries.ts";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/store/embeddedPostgres.ts";
import { isAlive } from "../../src/store/embeddedPostmaster.ts";

const source = resolve(import.meta.dirname, "../../src/store/embeddedPostgres.ts");

/** A folder of the test's own, removed at its end. */
async function folder(t: Test, base = tmpdir()): Promise<string> {
  const path = await mkdtemp(join(base, "mayfly-embedded-"));
  t.teardown(async () => rm(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  return path;
}

async function start(t: Test, directory: string, userNamespaces = true): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ directory, log: () => {}, userNamespaces });
  t.teardown(async () => postgres.stop());
  return postgres;
}

/** The one value that a query gives, over a connection of its own. */
async function ask(url: string, text: string): Promise<unknown> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(text);
    return Object.values(rows[0] ?? {})[0];
  } finally {
    await client.end();
  }
}

/** Another process that starts PostgreSQL on `directory` and stays: it prints the postmaster's process id. */
function server(t: Test, directory: string): ChildProcess {
  const script = `
    const { startEmbeddedPostgres } = await import(${JSON.stringify(source)});
    const { pid } = await startEmbeddedPostgres({ directory: ${JSON.stringify(directory)}, log: () => {} });
    console.log(pid);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => child.kill("SIGKILL"));
  return child;
}

async function killed(child: ChildProcess): Promise<void> {
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const chunk of child.stdout ?? []) return String(chunk).trim();
  throw new Error("the process ended without a word");
}

await t.test("a first start makes a durable UTF-8 database, a second one finds its content", async (t) => {
  const directory = await folder(t);
  const first = await start(t, directory);
  t.equal(first.adopted, false);
  for (const setting of ["fsync", "synchronous_commit", "full_page_writes"])
    t.equal(await ask(first.url, `select current_setting('${setting}')`), "on", setting);
  t.equal(await ask(first.url, "select current_setting('listen_addresses')"), "", "no TCP port is open");
  t.equal(await ask(first.url, "select current_setting('server_encoding')"), "UTF8");
  t.equal(await ask(first.url, "select current_setting('timezone')"), "UTC");
  await ask(first.url, "create table kept as select 42 as value");
  await first.stop();
  t.equal(await isAlive(first.pid), false, "stop() resolves when the process is gone");
  await first.stop();

  const second = await start(t, directory);
  t.equal(second.adopted, false);
  t.equal(await ask(second.url, "select value from kept"), 42);
});

await t.test("only the owner can enter: password and socket", async (t) => {
  const directory = await folder(t);
  const { url } = await start(t, directory);
  t.equal((await stat(join(directory, "password"))).mode & 0o777, 0o600);
  t.equal((await stat(join(directory, "socket"))).mode & 0o777, 0o700);
  const wrong = url.replace(/:[^:@]+@/u, ":wrong@");
  await t.rejects(ask(wrong, "select 1"), { code: "28P01" }, "a wrong password is refused on the socket as well");
});

await t.test("kill -9: the next start goes on with the orphan, and stops it", async (t) => {
  const directory = await folder(t);
  const child = server(t, directory);
  const pid = Number(await firstLine(child));
  await killed(child);
  t.equal(await isAlive(pid), true, "PostgreSQL outlives its server");

  const next = await start(t, directory);
  t.match(next, { adopted: true, pid });
  t.equal(await ask(next.url, "select 1"), 1);
  await next.stop();
  t.equal(await isAlive(pid), false, "an adopted PostgreSQL is stopped as well");
});

await t.test("kill -9 of PostgreSQL itself: what was committed is there", async (t) => {
  const directory = await folder(t);
  const first = await start(t, directory);
  await ask(first.url, "create table kept as select 42 as value");
  process.kill(first.pid, "SIGKILL");
  await first.stop();
  const second = await start(t, directory);
  t.equal(await ask(second.url, "select value from kept"), 42);
});

await t.test("a postmaster.pid with the process id of somebody else does not hinder", async (t) => {
  const directory = await folder(t);
  const first = await start(t, directory);
  const pidFile = join(directory, "cluster", "postmaster.pid");
  const socketLock = join(directory, "socket", ".s.PGSQL.5432.lock");
  const stale = (await readFile(pidFile, "utf8")).replace(/^\d+/u, String(process.pid));
  const staleLock = (await readFile(socketLock, "utf8")).replace(/^\d+/u, String(process.pid));
  await first.stop();
  await writeFile(pidFile, stale, { mode: 0o600 });
  await writeFile(socketLock, staleLock, { mode: 0o600 });
  const second = await start(t, directory);
  t.equal(second.adopted, false);
  t.equal(await ask(second.url, "select 1"), 1);
});

await t.test("a killed initdb leaves nothing half-made", async (t) => {
  const directory = await folder(t);
  const child = server(t, directory);
  const made = async (): Promise<boolean> => (await readdir(directory)).some((name) => name.startsWith("cluster.new-"));
  while (!(await made())) await delay(5);
  await killed(child);
  t.notOk((await readdir(directory)).includes("cluster"), "the cluster has its name only when it is whole");

  const next = await start(t, directory);
  t.equal(await ask(next.url, "select 1"), 1);
  t.equal(await made(), false, "and what was left is cleared away");
});

await t.test("a directory whose path is too long for a socket", async (t) => {
  const directory = join(await folder(t), "long".repeat(30), "data, with 'odd \"names");
  const { url } = await start(t, directory);
  t.equal(await ask(url, "select 1"), 1);
  const [, socket = ""] = /@([^:]+):/u.exec(url) ?? [];
  const path = decodeURIComponent(socket);
  t.teardown(async () => rm(path, { recursive: true, force: true }));
  t.ok(path.startsWith(tmpdir()));
  t.equal((await stat(path)).mode & 0o777, 0o700);
});

await t.test("a log file that is a link is refused, not followed", async (t) => {
  const directory = await folder(t);
  const victim = join(directory, "victim");
  await writeFile(victim, "precious");
  await symlink(victim, join(directory, "postgres.log"));
  await t.rejects(startEmbeddedPostgres({ directory, log: () => {} }), { code: "ELOOP" });
  t.equal(await readFile(victim, "utf8"), "precious");
});

await t.test("a cluster of another major version is refused by name", async (t) => {
  const directory = await folder(t);
  await mkdir(join(directory, "cluster"));
  await writeFile(join(directory, "cluster", "PG_VERSION"), "15\n");
  await t.rejects(startEmbeddedPostgres({ directory, log: () => {} }), { message: /PostgreSQL 15 made the database/u });
});

await t.test("programs that this machine cannot run: one message with the remedy", async (t) => {
  const directory = await folder(t);
  await t.rejects(placeDatabase(directory, binariesIn("/nonexistent")), { message: /set MAYFLY_DATABASE_URL/u });
});

await t.test("installedPostgres finds the libraries' links made", async (t) => {
  const { folder: native } = await installedPostgres();
  const links: { target: string }[] = JSON.parse(await readFile(join(native, "pg-symlinks.json"), "utf8"));
  t.ok(links.length > 0);
  for (const { target } of links) t.ok((await lstat(join(native, "..", target))).isSymbolicLink(), target);
});

// What follows is about root alone; run by another user, everything above is the test of that user's way.
if (process.getuid?.() === 0) {
  await t.test("root: PostgreSQL runs in a folder that only root can enter", async (t) => {
    const directory = join(await folder(t), "database");
    const { url } = await start(t, directory);
    t.equal(await ask(url, "select 1"), 1);
  });

  await t.test("root without user namespaces, closed folder: an unprivileged user's place, found again", async (t) => {
    const directory = join(await folder(t), "database");
    const first = await start(t, directory, false);
    const home = (await readFile(join(directory, "moved-to"), "utf8")).trim();
    t.teardown(async () => rm(home, { recursive: true, force: true }));
    t.match(home, /^\/var\/lib\/mayfly\/database-/u);
    t.not((await stat(join(home, "cluster"))).uid, 0);
    t.equal((await stat(home)).mode & 0o777, 0o700);
    await ask(first.url, "create table kept as select 42 as value");
    await first.stop();

    const second = await start(t, directory); // Namespaces again: the first start's decision stands.
    t.equal(await ask(second.url, "select value from kept"), 42);
    await second.stop();
    await rm(home, { recursive: true });
    await t.rejects(startEmbeddedPostgres({ directory, log: () => {} }), { message: /cannot be reached now/u });
  });

  await t.test("root without user namespaces, open folder: the database stays in it", async (t) => {
    const parent = await folder(t);
    await chmod(parent, 0o755);
    const { url } = await start(t, join(parent, "database"), false);
    t.equal(await ask(url, "select 1"), 1);
    t.strictSame((await readdir(join(parent, "database"))).sort(), ["cluster", "password", "postgres.log", "socket"]);
  });

  await t.test("root without user namespaces: programs in a closed folder are copied once", async (t) => {
    const closed = await folder(t);
    const { folder: native } = await installedPostgres();
    await cp(native, join(closed, "native"), { recursive: true, verbatimSymlinks: true });
    const copies = await readdir("/var/lib/mayfly").catch((): string[] => []);
    const place = async (): Promise<Placement> =>
      placeDatabase(join(closed, "database"), binariesIn(join(closed, "native")), { userNamespaces: false });
    const { home, binaries, account } = await place();
    t.teardown(async () => rm(home, { recursive: true, force: true }));
    if (!copies.includes(basename(binaries.folder)))
      t.teardown(async () => rm(binaries.folder, { recursive: true, force: true }));
    t.equal(account.as, "user");
    t.match(binaries.folder, /mayfly\/postgres-18/u);
    const { ino, uid, mode } = await stat(binaries.postgres);
    t.strictSame({ uid, othersWrite: mode & 0o022 }, { uid: 0, othersWrite: 0 }, "only root can change what is run");
    t.equal((await place()).binaries.folder, binaries.folder);
    t.equal((await stat(binaries.postgres)).ino, ino, "the second start finds the copy");
  });

  await t.test(
    "root's own cluster on a machine that refuses user namespaces now: a message with the remedy",
    async (t) => {
      const directory = await folder(t);
      await mkdir(join(directory, "cluster"));
      await t.rejects(placeDatabase(directory, await installedPostgres(), { userNamespaces: false }), {
        message: /allow user namespaces/u,
      });
    },
  );
}
