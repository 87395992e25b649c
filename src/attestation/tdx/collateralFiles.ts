/** Collateral that an operator keeps in files, one for each kind of platform; read again when a file changes, since collateral lives for a month. */
import { EvidenceRefused, SourceUnavailable } from "../evidence.ts";
import { openSourceFile } from "../sourceFile.ts";
import { type Collateral, collateralBytesMax, readCollateral, statedFmspc } from "./collateral.ts";

/** The collateral for an FMSPC (hex), where there is a file with it. @throws {SourceUnavailable} */
export type FindCollateral = (fmspc: string) => Promise<Collateral | undefined>;

/** @throws {Error} for people, when a file cannot be used now */
export function openCollateralFiles(ref: string, paths: readonly string[]): FindCollateral {
  const files = paths.map((path) => openSourceFile(path, collateralBytesMax, (octets) => load(octets, path)));
  return async (fmspc) => {
    const loaded = await Promise.all(files.map((read) => read())).catch((cause: unknown) => {
      throw new SourceUnavailable(`the collateral of source ${ref} cannot be read`, { cause });
    });
    return loaded.find((one) => one.fmspc === fmspc)?.collateral;
  };
}

function load(octets: Buffer, path: string): { readonly fmspc: string; readonly collateral: Collateral } {
  try {
    const collateral = readCollateral(octets);
    return { collateral, fmspc: statedFmspc(collateral) };
  } catch (error) {
    if (error instanceof EvidenceRefused) throw new Error(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}
