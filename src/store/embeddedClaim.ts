/**
 * One server per data directory.
 */
import { chmod, mkdir, open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** A data directory that is ours until released, or until this process ends, however it ends. */
export interface DataDirectoryClaim {
  /** Idempotent. */
  release(): void;
}

const SQLITE_BUSY = 5;

const held = new Set<DatabaseSync>();

/**
 * Claims `directory` (made, 0700, where it is missing) for this process.
 *
 * The lock belongs to the kernel and goes with the process, so a kill -9 leaves nothing stale and no process id has to
 * be believed. Node has no flock(2) of its own; what it has is SQLite, whose file lock is just that. Nothing is ever
 * stored in the file.
 * @throws {Error} when another process holds it
 */
export async function claimDataDirectory(directory: string): Promise<DataDirectoryClaim> {
  await makeDataDirectory(directory);
  const file = join(directory, "lock");
  // For the owner only: whoever may read the file may lock it, and so keep the server from starting.
  await (await open(file, "a", 0o600)).close();
  await chmod(file, 0o600);
  const lock = new DatabaseSync(file);
  try {
    lock.exec("BEGIN EXCLUSIVE");
  } catch (cause) {
    lock.close();
    if (!(cause instanceof Error && "errcode" in cause && cause.errcode === SQLITE_BUSY)) throw cause;
    throw new Error(
      `the data directory ${directory} is in use by another Mayfly server: stop that one, or set MAYFLY_DATA_DIR to another folder`,
      { cause },
    );
  }
  // Held in a set because an unreferenced handle would be collected, and the lock with it.
  held.add(lock);
  return {
    release() {
      if (held.delete(lock)) lock.close();
    },
  };
}

/**
 * Makes the directory, 0700, where it is missing. Step by step: on a file system that takes no folders (/proc), Node's own recursive mkdir
 * never comes back.
 * @throws {Error} when it cannot be made
 */
export async function makeDataDirectory(directory: string): Promise<void> {
  const made = await mkdir(directory, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => error);
  if (made === undefined || made.code === "EEXIST") return;
  const parent = dirname(directory);
  if (made.code !== "ENOENT" || parent === directory) throw cannotMake(directory, made);
  await makeDataDirectory(parent);
  await mkdir(directory, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw cannotMake(directory, error);
  });
}

function cannotMake(directory: string, cause: NodeJS.ErrnoException): Error {
  return new Error(`the folder ${directory} cannot be made: ${cause.code}; set MAYFLY_DATA_DIR to another one`, {
    cause,
  });
}
