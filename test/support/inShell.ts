/** Lines of the documentation, run as a person would. */
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { repository } from "./program.ts";

const script = (line: string): string => `#!/bin/sh\n${line}\n`;

/** Runs lines as a person would in `folder`, with `npx mayfly` and `curl` at hand. @returns standard output; rejects unless it ends with 0 */
export async function runInShell(
  folder: string,
  lines: string,
  env: Readonly<Record<string, string>>,
  timeout = 60_000,
): Promise<string> {
  const programs = join(folder, "programs");
  await mkdir(programs, { recursive: true });
  const mode = 0o755;
  await writeFile(
    join(programs, "npx"),
    script(
      `[ "$1" = mayfly ] || exit 1; shift; exec '${process.execPath}' '${join(repository, "bin/mayfly.js")}' "$@"`,
    ),
    { mode },
  );
  await writeFile(
    join(programs, "curl"),
    script(`exec '${process.execPath}' '${join(repository, "test/support/curl.ts")}' "$@"`),
    { mode },
  );
  const { stdout } = await promisify(execFile)("/bin/sh", ["-ec", lines], {
    cwd: folder,
    env: { PATH: `${programs}:${process.env["PATH"] ?? ""}`, HOME: folder, ...env },
    timeout,
  });
  return stdout;
}
