/**
 * The postmaster, PostgreSQL's first process: whether one runs on a cluster, and how to end it.
 */
import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { readdir, readFile, readlink, realpath, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** A postmaster that is alive, by its own file `postmaster.pid`. */
export interface Postmaster {
  readonly pid: number;
  /** Where it listens. */
  readonly socketFolder: string;
}

/** Fast shutdown (sessions are ended, a checkpoint is written), then immediate (the log is replayed at the next start). */
const endings = [
  { signal: "SIGINT", patienceMs: 30_000 },
  { signal: "SIGQUIT", patienceMs: 10_000 },
] as const;

/** No system gives this out as a process id. */
const impossiblePid = 2 ** 31 - 1;

/** The postmaster that runs on the cluster, for example the orphan of a server that was killed. */
export async function findPostmaster(cluster: string): Promise<Postmaster | undefined> {
  for (;;) {
    const [pid, , , , folder] = await pidFile(cluster);
    if (!(await runsOn(Number(pid), cluster))) return undefined;
    if (folder !== undefined && folder !== "") return { pid: Number(pid), socketFolder: folder };
    await delay(20); // It is starting, and writes that line when it listens.
  }
}

/**
 * Makes PostgreSQL forget a postmaster that is gone. It takes any live process with the old one's id for the old one and
 * refuses to start, and in a container such reuse is the rule. Only the id is replaced: the line about shared memory
 * lets PostgreSQL see for itself that no process of the old one is left.
 */
export async function forgetPostmaster(cluster: string, socketFolder: string): Promise<void> {
  const [pid, ...others] = await pidFile(cluster);
  if (Number(pid) > 0) {
    const flag = constants.O_WRONLY | constants.O_TRUNC | constants.O_NOFOLLOW; // Root writes in a folder of somebody else's.
    await writeFile(join(cluster, "postmaster.pid"), [impossiblePid, ...others].join("\n"), { flag });
  }
  const sockets = (await readdir(socketFolder)).filter((name) => name.startsWith(".s.PGSQL."));
  for (const name of sockets) await rm(join(socketFolder, name), { force: true });
}

/**
 * Ends the postmaster on `cluster` and resolves when it is gone.
 * @throws {Error} when it outlives even the immediate shutdown
 */
export async function endPostmaster(pid: number, cluster: string): Promise<void> {
  for (const { signal, patienceMs } of endings) {
    if (!(await runsOn(pid, cluster))) return;
    process.kill(pid, signal);
    if (await gone(pid, patienceMs)) return;
  }
  throw new Error(`PostgreSQL (process ${pid}) does not end`);
}

/** Whether the process is alive; one that ended and was never waited for (a zombie) is not. */
export async function isAlive(pid: number): Promise<boolean> {
  if (process.platform !== "linux") return (await inspect(pid)) !== "";
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  const state = stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3); // The name before it may hold anything.
  return state !== "" && state !== "Z" && state !== "X";
}

/** Lines of `postmaster.pid`: process id, cluster, start time, port, socket folder, address, shared memory, state. */
async function pidFile(cluster: string): Promise<string[]> {
  return (await readFile(join(cluster, "postmaster.pid"), "utf8").catch(() => "")).split("\n");
}

async function runsOn(pid: number, cluster: string): Promise<boolean> {
  if (!Number.isSafeInteger(pid) || pid <= 1 || !(await isAlive(pid))) return false;
  const folder = await realpath(cluster);
  if (process.platform !== "linux") return (await inspect(pid)).includes(folder);
  // A postmaster's working directory is its cluster.
  return (await readlink(`/proc/${pid}/cwd`).catch(() => "")) === folder;
}

/** The command line of a process on a system without /proc. */
async function inspect(pid: number): Promise<string> {
  const { stdout } = await execute("ps", ["-ww", "-o", "command=", "-p", String(pid)]).catch(() => ({ stdout: "" }));
  return stdout.trim();
}

async function gone(pid: number, patienceMs: number): Promise<boolean> {
  const deadline = Date.now() + patienceMs;
  while (await isAlive(pid)) {
    if (Date.now() > deadline) return false;
    await delay(20);
  }
  return true;
}
