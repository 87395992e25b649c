/**
 * Key, chain and bundle on disk, replaced as one set.
 *
 * DIR/key.pem, DIR/cert.pem and DIR/bundle.pem are symbolic links into DIR/..data, itself a link to the current version's directory,
 * as Kubernetes lays out a mounted secret. Renewal writes a new directory, syncs it, and renames one link over `..data`: all three
 * change in that one step, and a crash leaves the old set or the new one. A reader that opens the plain paths one after the
 * other may still open them around that step; one that must not opens all three through `realpath DIR/..data`, whose files
 * never change. The version before stays, so that such a reader can finish.
 */
import { randomBytes } from "node:crypto";
import { chmod, lstat, mkdir, mkdtemp, open, readdir, readlink, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";

export interface CertificateFiles {
  /** PKCS#8 PEM; written with mode 0600. */
  readonly key: string;
  /** Leaf and intermediates, PEM. */
  readonly cert: string;
  /** Roots, PEM. */
  readonly bundle: string;
}

const names = { key: "key.pem", cert: "cert.pem", bundle: "bundle.pem" } as const;
const currentLink = "..data";
const versionPrefix = "..version-";
/** A writer takes seconds; a version that nobody points to and that is older than this is left over. */
const leftOverMs = 600_000;

/**
 * Writes the set into `directory`, which is created with mode 0700 when absent, and resolves to the three plain paths.
 * @throws the file system's error; the former set is then still in place
 */
export async function writeCertificateFiles(
  directory: string,
  files: CertificateFiles,
): Promise<{ readonly key: string; readonly cert: string; readonly bundle: string }> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const version = await mkdtemp(join(directory, versionPrefix));
  // mkdtemp makes 0700. Who may look inside is for DIR to say; the key has a mode of its own.
  await chmod(version, 0o755);
  await writeDurably(join(version, names.key), files.key, 0o600);
  await writeDurably(join(version, names.cert), files.cert, 0o644);
  await writeDurably(join(version, names.bundle), files.bundle, 0o644);
  await syncDirectory(version);

  const before = await linkTarget(join(directory, currentLink));
  const current = version.slice(version.lastIndexOf(versionPrefix));
  await replaceByLink(directory, currentLink, current);
  for (const name of Object.values(names)) {
    const target = join(currentLink, name);
    if ((await linkTarget(join(directory, name))) !== target) await replaceByLink(directory, name, target);
  }
  await syncDirectory(directory);
  await removeLeftOvers(directory, [current, before]);
  return {
    key: join(directory, names.key),
    cert: join(directory, names.cert),
    bundle: join(directory, names.bundle),
  };
}

async function writeDurably(path: string, text: string, mode: number): Promise<void> {
  const file = await open(path, "wx", mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Undefined when there is nothing, or something that is no link. */
async function linkTarget(path: string): Promise<string | undefined> {
  return readlink(path).catch(() => undefined);
}

/** rename(2) replaces a link or file at once: there is no instant without it. */
async function replaceByLink(directory: string, name: string, target: string): Promise<void> {
  const temporary = join(directory, `${versionPrefix}link-${randomBytes(6).toString("hex")}`);
  await symlink(target, temporary);
  await rename(temporary, join(directory, name));
}

async function removeLeftOvers(directory: string, kept: readonly (string | undefined)[]): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(versionPrefix) || kept.includes(name)) continue;
    const path = join(directory, name);
    // Another writer may be at work in a young one, or have removed an old one before us.
    const found = await lstat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > leftOverMs)
      await rm(path, { recursive: true, force: true });
  }
}
