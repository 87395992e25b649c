/**
 * Runs a command line inside the test's process, with an outside world of its own.
 */
import { Readable } from "node:stream";
import { type CommandEntry, runCommandLine } from "../../src/cli/command.ts";

export interface CommandResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runWords(
  table: readonly CommandEntry[],
  args: readonly string[],
  world: { readonly env?: Readonly<Record<string, string>>; readonly stdin?: string } = {},
): Promise<CommandResult> {
  let [stdout, stderr] = ["", ""];
  const status = await runCommandLine(args, table, {
    env: { PATH: process.env["PATH"] ?? "", ...world.env },
    stdin: Readable.from([Buffer.from(world.stdin ?? "")]),
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
  });
  return { status, stdout, stderr };
}
