/**
 * The embedded PostgreSQL of a server without MAYFLY_DATABASE_URL: a real one, in its own process, fully durable. It
 * outlives a server that is killed, and the next start goes on with it.
 */
import { once } from "node:events";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { Client } from "pg";

import { type Placement, placeDatabase, spawnAs } from "./embeddedAccount.ts";
import { installedPostgres } from "./embeddedBinaries.ts";
import {
  databaseName,
  ensureCluster,
  environment,
  lastLines,
  openLog,
  socketFolder,
  superuserPassword,
} from "./embeddedCluster.ts";
import { endPostmaster, findPostmaster, forgetPostmaster, isAlive, type Postmaster } from "./embeddedPostmaster.ts";

export { claimDataDirectory, makeDataDirectory, type DataDirectoryClaim } from "./embeddedClaim.ts";

export interface EmbeddedPostgresOptions {
  /** Folder for cluster, password, log and socket; made where it is missing. Claim the data directory first. */
  readonly directory: string;
  /** Told in a sentence what happens, never a secret. */
  readonly log: (message: string) => void;
  /** False gives durability up for speed: for tests only. */
  readonly durable?: boolean;
  /** False keeps a server that runs as root from trying a user namespace (see embeddedAccount.ts). */
  readonly userNamespaces?: boolean;
}

export interface EmbeddedPostgres {
  /** A connection URL like MAYFLY_DATABASE_URL; holds the password. */
  readonly url: string;
  /** True when PostgreSQL was still running from an earlier start. */
  readonly adopted: boolean;
  /** Process id of the postmaster. */
  readonly pid: number;
  /** Ends PostgreSQL cleanly, an adopted one as well, and resolves when it is gone. Idempotent. */
  stop(): Promise<void>;
}

/** After a crash PostgreSQL first replays its log; a start that takes longer than this has failed. */
const replayMsMax = 300_000;

/**
 * What a PostgreSQL that starts, replays or ends may answer: SQLSTATE class 57, a socket that is not there or not served
 * yet, a connection that breaks (an error without a code).
 */
const passing = /^(57P0.|ENOENT|ECONNREFUSED|ECONNRESET|EPIPE|EAGAIN|)$/u;

/**
 * Starts PostgreSQL on `directory`, or goes on with the one that an earlier, killed server left running there.
 * @throws {Error} with a remedy where this machine cannot run it, with the last of its log where it ended by itself
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { directory, log, userNamespaces = true } = options;
  const placement = await placeDatabase(resolve(directory), await installedPostgres(), { userNamespaces });
  const password = await superuserPassword(placement);
  const cluster = await ensureCluster(placement);

  const orphan = await adoptable(cluster, password);
  const postmaster = orphan ?? (await startPostmaster(placement, cluster, options));
  if (orphan === undefined && !(await answers(postmaster, password)))
    throw new Error(`PostgreSQL did not start:\n${await lastLines(logFile(placement))}`);
  await ensureDatabase(postmaster, password);
  log(`PostgreSQL ${placement.version} ${orphan === undefined ? "started" : "was still running"} in ${placement.home}`);

  let ended: Promise<void> | undefined;
  return {
    url: urlOf(postmaster, password, databaseName),
    adopted: orphan !== undefined,
    pid: postmaster.pid,
    stop: () => (ended ??= endPostmaster(postmaster.pid, cluster)),
  };
}

/** The postmaster that still runs on the cluster, once it answers; undefined too for one that was about to end. */
async function adoptable(cluster: string, password: string): Promise<Postmaster | undefined> {
  const found = await findPostmaster(cluster);
  return found !== undefined && (await answers(found, password)) ? found : undefined;
}

async function startPostmaster(
  placement: Placement,
  cluster: string,
  { log, durable = true }: EmbeddedPostgresOptions,
): Promise<Postmaster> {
  const folder = await socketFolder(placement);
  await forgetPostmaster(cluster, folder);
  const settings = Object.entries(settingsFor(folder, durable)).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const output = await openLog(logFile(placement)); // Emptied at each start; little is written in between.
  try {
    const child = spawnAs(placement.account, placement.binaries.postgres, ["-D", cluster, ...settings], {
      cwd: "/",
      env: environment,
      detached: true, // In a session of its own: a terminal's Ctrl-C is for the server, which then ends PostgreSQL in order.
      stdio: ["ignore", output.fd, output.fd],
    });
    child.once("exit", (code, signal) => {
      if (code !== 0) log(`PostgreSQL ended by itself (${signal ?? `exit status ${code}`}): see ${logFile(placement)}`);
    });
    await once(child, "spawn");
    child.unref();
    if (child.pid === undefined) throw new Error("PostgreSQL has no process id");
    return { pid: child.pid, socketFolder: folder };
  } finally {
    await output.close();
  }
}

function settingsFor(folder: string, durable: boolean): Record<string, string | number> {
  const durability = durable ? "on" : "off";
  return {
    listen_addresses: "",
    port: 5432, // Only part of the socket's name.
    unix_socket_directories: `"${folder.replaceAll('"', '""')}"`,
    unix_socket_permissions: "0700",
    max_connections: 100,
    shared_buffers: "128MB",
    fsync: durability,
    synchronous_commit: durability,
    full_page_writes: durability,
    wal_compression: "on",
    timezone: "UTC",
    log_timezone: "UTC",
    // Refused statements are our business, and their text and values would fill the log with names and keys.
    log_min_messages: "log",
    log_min_error_statement: "panic",
    log_checkpoints: "off",
  };
}

/**
 * Waits until the postmaster answers; false when it ends instead.
 * @throws {Error} when it refuses us, or something else listens on its socket
 */
async function answers(postmaster: Postmaster, password: string): Promise<boolean> {
  const deadline = Date.now() + replayMsMax;
  while (Date.now() < deadline) {
    const pid = await pidOnSocket(postmaster, password);
    // The server on this socket is the one on this cluster if its own postmaster.pid names the same process.
    if (pid === postmaster.pid) return true;
    if (pid !== undefined) throw new Error(`another PostgreSQL listens in ${postmaster.socketFolder}`);
    if (!(await isAlive(postmaster.pid))) return false;
    await delay(20);
  }
  throw new Error(`PostgreSQL (process ${postmaster.pid}) is still replaying its log: start again later`);
}

async function pidOnSocket(postmaster: Postmaster, password: string): Promise<number | undefined> {
  try {
    const [row] = await query(
      postmaster,
      password,
      "select split_part(pg_read_file('postmaster.pid'), E'\\n', 1) as pid",
    );
    return Number(row?.["pid"]);
  } catch (error) {
    if (error instanceof Error && passing.test("code" in error ? String(error.code) : "")) return undefined;
    throw error;
  }
}

async function ensureDatabase(postmaster: Postmaster, password: string): Promise<void> {
  const found = await query(postmaster, password, `select 1 from pg_database where datname = '${databaseName}'`);
  if (found.length === 0) await query(postmaster, password, `create database ${databaseName}`);
}

async function query(postmaster: Postmaster, password: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({
    connectionString: urlOf(postmaster, password, "postgres"),
    connectionTimeoutMillis: 10_000,
  });
  client.on("error", () => {}); // A connection that breaks also rejects what waits for it.
  try {
    await client.connect();
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end().catch(() => {});
  }
}

function urlOf({ socketFolder: folder }: Postmaster, password: string, database: string): string {
  return `postgresql://${databaseName}:${password}@${encodeURIComponent(folder)}:5432/${database}?sslmode=disable`;
}

function logFile({ home }: Placement): string {
  return join(home, "postgres.log");
}
