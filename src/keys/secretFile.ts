/**
 * Files that hold a secret: a PIN, a passphrase, an encrypted key. Only their owner may read them, and they appear whole or not at all.
 */
import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { link, mkdir, open, stat, unlink, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** The system's code of a file error ("ENOENT", "EEXIST" …), or undefined for any other error. */
export function fileErrorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/**
 * Reads a file that only its owner may read, as UTF-8. Resolves to undefined when there is no such file.
 * @throws {Error} as `openSecretFile` says
 */
export async function readSecretFile(path: string, what: string, bytesMax: number): Promise<string | undefined> {
  const file = await openSecretFile(path, what, bytesMax);
  if (!file) return undefined;
  try {
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

/**
 * Opens a file that only its owner may read. Resolves to undefined when there is no such file.
 *
 * @param what - names the file in messages, for example "PIN file"
 * @throws {Error} when it is unreadable, not a regular file, readable by others (with the chmod line that helps), or larger than
 * `bytesMax`; a message never quotes the content
 */
export async function openSecretFile(path: string, what: string, bytesMax: number): Promise<FileHandle | undefined> {
  // Without O_NONBLOCK a FIFO in this place would hold the start up for ever.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    if (fileErrorCode(error) === "ENOENT") return undefined;
    throw new Error(`cannot read the ${what} ${path}: ${fileErrorCode(error) ?? "unknown error"}`);
  });
  if (!file) return undefined;
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new Error(`the ${what} ${path} is not a regular file`);
    requireOwnerOnly(path, found, what);
    if (found.size > bytesMax) throw new Error(`the ${what} ${path} is larger than ${bytesMax} bytes`);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Creates a 0600 file with this content, durable when it resolves. Never replaces: of two processes that create the same file one is told.
 *
 * @throws the system's EEXIST error when `path` exists already
 */
export async function createSecretFile(path: string, content: string): Promise<void> {
  const directory = dirname(path);
  const temporary = join(directory, `.${basename(path)}.${randomBytes(8).toString("hex")}.tmp`);
  try {
    const file = await open(temporary, "wx", 0o600);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    // rename() would silently replace an existing file; link() is just as atomic and refuses.
    await link(temporary, path);
  } finally {
    await unlink(temporary).catch(() => undefined);
  }
  await syncDirectory(directory);
}

/**
 * Makes a 0700 directory, or checks the one that is there.
 * @throws {Error} when others may enter it (with the chmod line that helps) or it is not a directory
 */
export async function ownerOnlyDirectory(path: string, what: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw new Error(`cannot make the ${what} ${path}: ${fileErrorCode(error) ?? "unknown error"}`);
  });
  const found = await stat(path);
  requireOwnerOnly(path, found, what);
}

/** @throws {Error} with the chmod line that helps, when others have any right */
export function requireOwnerOnly(path: string, found: Stats, what: string): void {
  if ((found.mode & 0o077) === 0) return;
  const mode = (found.mode & 0o777).toString(8).padStart(4, "0");
  const wanted = found.isDirectory() ? "0700" : "0600";
  throw new Error(`the ${what} ${path} is open to others (mode ${mode}); run: chmod ${wanted} ${shellWord(path)}`);
}

/** Quotes a path for a shell when it needs it, so that the line in the message can be pasted. */
function shellWord(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
