/**
 * The files of the embedded PostgreSQL: cluster, password, socket folder.
 */
import { createHash, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { chmod, type FileHandle, lstat, mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { giveTo, ownerOf, type Placement, spawnAs } from "./embeddedAccount.ts";

/** Name of the superuser and of the one database. */
export const databaseName = "mayfly";

/** A socket's address holds 104 bytes on macOS and 108 on Linux, and PostgreSQL adds "/.s.PGSQL.5432". */
const socketFolderBytesMax = 88;

/** initdb takes below a second; on a slow disk, a few. */
const initdbMsMax = 120_000;

/** The environment of PostgreSQL: no PG… variable, locale or loader setting of our own caller counts. */
export const environment = { PATH: process.env["PATH"] ?? "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };

/** The superuser's password: made on first use, kept in a file (0600) beside the cluster. */
export async function superuserPassword({ home, account }: Placement): Promise<string> {
  const file = join(home, "password");
  const kept = (await readFile(file, "utf8").catch(() => "")).trim();
  if (kept !== "") return kept;
  const password = randomBytes(24).toString("base64url");
  await rm(`${file}.new`, { force: true });
  await writeFile(`${file}.new`, `${password}\n`, { mode: 0o600, flag: "wx", flush: true });
  await giveTo(account, `${file}.new`);
  await rename(`${file}.new`, file);
  return password;
}

/**
 * Makes the cluster where there is none; resolves to its folder. It gets its name only when it is whole, so a kill at
 * any instant leaves no cluster or a good one.
 * @throws {Error} when initdb fails, or another major version made the cluster that is there
 */
export async function ensureCluster(placement: Placement): Promise<string> {
  const { home, version } = placement;
  const cluster = join(home, "cluster");
  const madeBy = (await readFile(join(cluster, "PG_VERSION"), "utf8").catch(() => "")).trim();
  if (madeBy === version.split(".")[0]) return cluster;
  if (madeBy !== "")
    throw new Error(
      `PostgreSQL ${madeBy} made the database in ${cluster}, and the embedded one is ${version}: move it with pg_upgrade`,
    );

  const leftovers = (await readdir(home)).filter((name) => name.startsWith("cluster.new-"));
  // An initdb whose server was killed may still write for a moment: the folder is emptied until it stays empty.
  const patience = { maxRetries: 20, retryDelay: 100 };
  for (const name of leftovers) await rm(join(home, name), { recursive: true, force: true, ...patience });
  const unfinished = join(home, `cluster.new-${process.pid}`);
  await initialize(placement, unfinished);
  await rename(unfinished, cluster);
  const folder = await open(home, "r");
  await folder.sync(); // The new name must outlive a power cut as well.
  await folder.close();
  return cluster;
}

/**
 * A folder for the socket that only the account can enter: beside the cluster, or below the folder for temporary files
 * where that path would be too long for a socket's address.
 * @throws {Error} when somebody else owns the temporary one
 */
export async function socketFolder({ home, account }: Placement): Promise<string> {
  const beside = join(home, "socket");
  const digest = createHash("sha256").update(home).digest("hex").slice(0, 16);
  const folder = Buffer.byteLength(beside) <= socketFolderBytesMax ? beside : join(tmpdir(), `mayfly-${digest}`);
  const made = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (made !== undefined) await giveTo(account, folder);
  const found = await lstat(folder);
  if (!found.isDirectory() || found.uid !== ownerOf(account))
    throw new Error(
      `${folder}, where PostgreSQL's socket has to be, belongs to another user: remove it, or move the data directory`,
    );
  await chmod(folder, 0o700);
  return folder;
}

/**
 * Opens a log file, emptied. In a folder of an unprivileged user's a link could lead root's writing anywhere, so none
 * is followed.
 */
export async function openLog(file: string): Promise<FileHandle> {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
  return open(file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
}

/** The last of a log file, for an error message: at most 2 kB. */
export async function lastLines(file: string): Promise<string> {
  return (await readFile(file, "utf8").catch(() => "")).slice(-2048).trim();
}

async function initialize(placement: Placement, cluster: string): Promise<void> {
  const { home, account, binaries } = placement;
  const log = join(home, "initdb.log");
  const parameters = [`--pgdata=${cluster}`, `--username=${databaseName}`, `--pwfile=${join(home, "password")}`];
  parameters.push("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-instructions");
  const output = await openLog(log);
  const child = spawnAs(account, binaries.initdb, parameters, {
    cwd: "/",
    env: environment,
    stdio: ["ignore", output.fd, output.fd],
    timeout: initdbMsMax,
  });
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("exit", resolve));
  await output.close();
  if (code !== 0) throw new Error(`initdb could not make a database in ${home}:\n${await lastLines(log)}`);
  await rm(log);
}
