/**
 * As whom the embedded PostgreSQL runs, and where its files can be. PostgreSQL refuses to run as root, so a server
 * started as root has to find it another user: in a user namespace, where root's own files stay root's and only look
 * like somebody else's, or a real unprivileged user with files in a place that this user can reach.
 */
import { type ChildProcess, execFile, spawn, type SpawnOptions } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, chown, lstat, mkdir, mkdtemp, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";

import { binariesIn, type PostgresBinaries, postgresVersion, remedy } from "./embeddedBinaries.ts";

const execute = promisify(execFile);

/** As whom to run. `uid` and `gid` are the numbers the programs see themselves under. */
export type PostgresAccount =
  | { readonly as: "self" }
  | { readonly as: "namespace"; readonly uid: number; readonly gid: number }
  | RealUser;

interface RealUser {
  readonly as: "user";
  readonly uid: number;
  readonly gid: number;
}

/** Everything that is settled before PostgreSQL is started. */
export interface Placement {
  /** The folder of cluster, password, log and socket: the directory asked for, or one that the account can reach. */
  readonly home: string;
  readonly account: PostgresAccount;
  readonly binaries: PostgresBinaries;
  /** Release of the programs, for example "18.4". */
  readonly version: string;
}

/** Says, in a directory whose database had to be put elsewhere, where it is. */
const pointerName = "moved-to";

/** Where root puts what an unprivileged user must reach; PostgreSQL's data also survives a reboot here. */
const reachableFolder = "/var/lib/mayfly";

/**
 * Decides as whom PostgreSQL runs for `directory` and where its files are. What an earlier start decided stands: the
 * pointer in the directory, and the owner of an existing cluster.
 * @param userNamespaces whether to try a user namespace at all; tests turn it off to take the other way
 * @throws {Error} with a remedy when there is no way
 */
export async function placeDatabase(
  directory: string,
  binaries: PostgresBinaries,
  { userNamespaces = true }: { userNamespaces?: boolean } = {},
): Promise<Placement> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const version = await postgresVersion(binaries);
  const home = await readPointer(directory);
  if (process.getuid?.() !== 0) return { home, account: { as: "self" }, binaries, version };

  const settled = await ownerSoFar(directory, home);
  if (settled !== undefined && settled.uid !== 0)
    return { home, account: settled, binaries: await reachableBinaries(binaries, version, settled), version };

  const user = await unprivilegedUser();
  const namespace: PostgresAccount = { ...user, as: "namespace" };
  if (userNamespaces && (await works(namespace, home, binaries)))
    return { home, account: namespace, binaries, version };
  if (settled !== undefined)
    throw new Error(
      `the database in ${home} belongs to root, and PostgreSQL can run on root's files only in a user namespace, ` +
        `which this machine refuses now: allow user namespaces, or start as another user after "chown -R" of the data directory`,
    );
  const reachable = await reachableBinaries(binaries, version, user);
  return { home: await reachableHome(directory, user), account: user, binaries: reachable, version };
}

/** The user id that owns the account's files on disk, as this process sees it. */
export function ownerOf(account: PostgresAccount): number | undefined {
  return account.as === "user" ? account.uid : process.getuid?.();
}

/** Gives a file or folder to the account. */
export async function giveTo(account: PostgresAccount, path: string): Promise<void> {
  if (account.as === "user") await chown(path, account.uid, account.gid);
}

/** Starts a program as the account. The child's process id is the program's own. */
export function spawnAs(
  account: PostgresAccount,
  command: string,
  parameters: string[],
  options: SpawnOptions,
): ChildProcess {
  const [program, all] = commandAs(account, command, parameters);
  return spawn(program, all, { ...options, ...identityOf(account) });
}

function commandAs(account: PostgresAccount, command: string, parameters: string[]): [string, string[]] {
  if (account.as !== "namespace") return [command, parameters];
  // Without --fork, unshare(1) becomes the program, so its process id is PostgreSQL's.
  const mapping = ["--user", `--map-user=${account.uid}`, `--map-group=${account.gid}`];
  return ["unshare", [...mapping, "--", command, ...parameters]];
}

function identityOf(account: PostgresAccount): { uid?: number; gid?: number } {
  return account.as === "user" ? { uid: account.uid, gid: account.gid } : {};
}

async function readPointer(directory: string): Promise<string> {
  const pointer = join(directory, pointerName);
  const elsewhere = (await readFile(pointer, "utf8").catch(() => "")).trim();
  if (elsewhere === "") return directory;
  // A new, empty database in its stead would silently forget every certificate.
  await stat(elsewhere).catch((cause: unknown) => {
    throw new Error(
      `the database of ${directory} was put in ${elsewhere} (says ${pointer}), which cannot be reached now`,
      { cause },
    );
  });
  return elsewhere;
}

/** Who owns the cluster, or the folder that was made for it; undefined where nothing is settled yet. */
async function ownerSoFar(directory: string, home: string): Promise<RealUser | undefined> {
  const cluster = await stat(join(home, "cluster")).catch(() => (home === directory ? undefined : stat(home)));
  return cluster && { as: "user", uid: cluster.uid, gid: cluster.gid };
}

/** `postgres` where the machine has it, else `nobody`: initdb wants a user with a name. */
async function unprivilegedUser(): Promise<RealUser> {
  const users = (await readFile("/etc/passwd", "utf8").catch(() => "")).split("\n").map((line) => line.split(":"));
  const user = users.find(([name]) => name === "postgres") ?? users.find(([name]) => name === "nobody");
  if (user === undefined)
    throw new Error(
      `PostgreSQL refuses to run as root, and there is no user "postgres" or "nobody" to run it as: ${remedy}`,
    );
  return { as: "user", uid: Number(user[2]), gid: Number(user[3]) };
}

/** Whether the account can run the programs and write to the folder: asked of the machine, not guessed from its settings. */
async function works(account: PostgresAccount, folder: string, { postgres }: PostgresBinaries): Promise<boolean> {
  const script = 'test -w "$1" && test -x "$1" && exec "$2" --version';
  const [program, all] = commandAs(account, "/bin/sh", ["-c", script, "sh", folder, postgres]);
  return execute(program, all, { ...identityOf(account), cwd: "/", timeout: 30_000 }).then(
    () => true,
    () => false,
  );
}

/** The programs where `user` can run them: in place, or copied once per release to a folder of root's that all can read. */
async function reachableBinaries(
  binaries: PostgresBinaries,
  version: string,
  user: RealUser,
): Promise<PostgresBinaries> {
  if (await works(user, "/tmp", binaries)) return binaries;
  const parent = (await rootsFolder(reachableFolder)) ?? (await rootsFolder(join(tmpdir(), "mayfly-root")));
  if (parent === undefined)
    throw new Error(`PostgreSQL refuses to run as root, and ${reachableFolder} cannot be made for it: ${remedy}`);
  const copy = binariesIn(join(parent, `postgres-${version}`));
  if (!(await exists(copy.folder))) {
    const unfinished = await mkdtemp(`${copy.folder}-`);
    await execute("cp", ["-RP", `${binaries.folder}/.`, unfinished]);
    await execute("chmod", ["-R", "u+rwX,go=rX", unfinished]);
    // Whoever comes second finds the folder taken by an equal one.
    await rename(unfinished, copy.folder).catch(() => rm(unfinished, { recursive: true }));
  }
  if (!(await works(user, "/tmp", copy)))
    throw new Error(`PostgreSQL refuses to run as root, and user ${user.uid} cannot run ${copy.postgres}: ${remedy}`);
  return copy;
}

/** The directory itself where `user` can reach it, else a new folder that the directory points to from now on. */
async function reachableHome(directory: string, user: RealUser): Promise<string> {
  const parent = dirname(await realpath(directory));
  const [program, all] = commandAs(user, "/bin/sh", ["-c", 'test -x "$1"', "sh", parent]);
  const reached = await execute(program, all, { ...identityOf(user), cwd: "/" }).then(
    () => true,
    () => false,
  );
  if (reached) {
    await giveTo(user, directory);
    return directory;
  }
  const folder = await rootsFolder(reachableFolder);
  if (folder === undefined)
    throw new Error(
      `PostgreSQL refuses to run as root, user ${user.uid} cannot reach ${directory}, and ${reachableFolder} cannot be made for it: ${remedy}`,
    );
  // Never a name that an earlier database may have: who deletes a data directory must not find its old content again.
  const hash = createHash("sha256").update(directory).digest("hex").slice(0, 12);
  const home = await mkdtemp(join(folder, `${basename(directory)}-${hash}-`));
  await giveTo(user, home);
  await writeFile(join(directory, pointerName), `${home}\n`, { flush: true });
  return home;
}

/** Makes `folder`, readable for all and writable for root alone; undefined where that is not so. */
async function rootsFolder(folder: string): Promise<string | undefined> {
  try {
    await mkdir(folder, { recursive: true });
    const found = await lstat(folder);
    if (!found.isDirectory() || found.uid !== 0) return undefined;
    await chmod(folder, 0o755);
    return folder;
  } catch {
    return undefined;
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
