/** Collateral that an operator keeps in files, one for each kind of platform; read again when a file changes, since collateral lives for a month. */
import { readFileSync, statSync, type Stats } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { EvidenceRefused, SourceUnavailable } from "../evidence.ts";
import { type Collateral, collateralBytesMax, readCollateral, statedFmspc } from "./collateral.ts";

/** The collateral for an FMSPC (hex), where there is a file with it. @throws {SourceUnavailable} */
export type FindCollateral = (fmspc: string) => Promise<Collateral | undefined>;

interface Loaded {
  readonly found: Stats;
  readonly fmspc: string;
  readonly collateral: Collateral;
}

/** @throws {Error} for people, when a file cannot be used now */
export function openCollateralFiles(ref: string, paths: readonly string[]): FindCollateral {
  const loaded = new Map(paths.map((path): [string, Loaded] => [path, load(statSync(path), readFileSync(path), path)]));

  async function reread(path: string): Promise<void> {
    const present = await stat(path);
    const known = loaded.get(path)?.found;
    // A file that is swapped by rename may keep its time or its size, but not its inode as well.
    if (known?.mtimeMs === present.mtimeMs && known.size === present.size && known.ino === present.ino) return;
    requireUsable(present, path);
    loaded.set(path, load(present, await readFile(path), path));
  }

  return async (fmspc) => {
    await Promise.all(paths.map(reread)).catch((cause: unknown) => {
      throw new SourceUnavailable(`the collateral of source ${ref} cannot be read`, { cause });
    });
    return [...loaded.values()].find((one) => one.fmspc === fmspc)?.collateral;
  };
}

function load(found: Stats, octets: Buffer, path: string): Loaded {
  requireUsable(found, path);
  try {
    const collateral = readCollateral(octets);
    return { found, collateral, fmspc: statedFmspc(collateral) };
  } catch (error) {
    if (error instanceof EvidenceRefused) throw new Error(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

function requireUsable(found: Stats, path: string): void {
  if (!found.isFile()) throw new Error(`${path} is not a regular file`);
  if (found.size > collateralBytesMax) throw new Error(`${path} is larger than ${collateralBytesMax} bytes`);
}
