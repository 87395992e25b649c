/**
 * The `openssl` command, the witness that shares no code with ours beyond what node:crypto bundles.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What the command writes to standard output. @throws when it exits with another status than 0 */
export function openssl(args: readonly string[], input: Uint8Array = Buffer.alloc(0)): Buffer {
  return execFileSync("openssl", args, { input, stdio: ["pipe", "pipe", "pipe"] });
}

/** Runs `act` with the paths of files that hold `contents`, in a directory that is gone afterwards. */
export function withFiles<T>(contents: readonly (string | Uint8Array)[], act: (...paths: string[]) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "x509-"));
  try {
    const paths = contents.map((content, i) => {
      const path = join(directory, String(i));
      writeFileSync(path, content, { mode: 0o600 });
      return path;
    });
    return act(...paths);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
