/** Files of a source's trust material: regular ones within a limit, read now, and again when they change. */
import { readFileSync, statSync, type Stats } from "node:fs";
import { readFile, stat } from "node:fs/promises";

/** @throws {Error} for people, naming the file */
export function requireReadable(found: Stats, path: string, bytesMax: number): void {
  if (!found.isFile()) throw new Error(`${path} is not a regular file`);
  if (found.size > bytesMax) throw new Error(`${path} is larger than ${bytesMax} bytes`);
}

/** True for the same file with the same content. One that is swapped by rename may keep its time or its size, but not its inode as well. */
export function isUnchanged(found: Stats, present: Stats): boolean {
  return present.mtimeMs === found.mtimeMs && present.size === found.size && present.ino === found.ino;
}

/**
 * Opens a file that is read again when it changes, for what an operator renews without a restart.
 * @param parseAgain - of a later reading, where that must not hold up others
 * @returns what is in the file now; rejects while it cannot be used
 * @throws {Error} for people, when it cannot be used now; and whatever `parse` throws
 */
export function openSourceFile<T>(
  path: string,
  bytesMax: number,
  parse: (octets: Buffer) => T,
  parseAgain: (octets: Buffer) => T | Promise<T> = parse,
): () => Promise<T> {
  let found = statSync(path);
  requireReadable(found, path, bytesMax);
  let content = parse(readFileSync(path));
  let inFlight: Promise<void> | undefined;

  async function reread(): Promise<void> {
    const present = await stat(path);
    if (isUnchanged(found, present)) return;
    requireReadable(present, path, bytesMax);
    content = await parseAgain(await readFile(path));
    // Only now: a file caught half-written is read again the next time.
    found = present;
  }

  return async () => {
    inFlight ??= reread().finally(() => (inFlight = undefined));
    await inFlight;
    return content;
  };
}
