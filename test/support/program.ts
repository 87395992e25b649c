/** Other programs, as a person runs them: certbot, lego, openssl, and Mayfly's own command line in a process of its own. */
import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";

/** The checkout. */
export const repository = join(import.meta.dirname, "../..");
/** What `npx mayfly` starts. */
export const mayfly = join(repository, "bin/mayfly.js");

export interface Ended {
  /** The exit status; null when a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  /** Added to a clean environment: PATH and nothing of MAYFLY_…. */
  readonly env?: Readonly<Record<string, string>>;
  /** After this it is killed, and the run rejects. */
  readonly timeoutMs?: number;
}

/** PATH, and what the tests' caller set for temporary files and tokens; nothing that would configure a Mayfly. */
export function cleanEnvironment(added: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept = ["PATH", "HOME", "TMPDIR", "LANG", "LD_LIBRARY_PATH"].flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(kept), ...added };
}

/** Runs a program to its end. @throws {Error} when it cannot be started or takes too long */
export async function run(program: string, parameters: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const { cwd = repository, env = {}, timeoutMs = 60_000 } = options;
  const child = spawn(program, parameters, { cwd, env: cleanEnvironment(env), stdio: ["ignore", "pipe", "pipe"] });
  const printed = capture(child);
  const ended = Promise.withResolvers<number | null>();
  child.once("error", ended.reject);
  child.once("close", (status) => ended.resolve(status));
  const late = setTimeout(() => {
    child.kill("SIGKILL");
    ended.reject(new Error(`${program} took longer than ${timeoutMs} ms:\n${printed.stdout}${printed.stderr}`));
  }, timeoutMs);
  const status = await ended.promise.finally(() => clearTimeout(late));
  return { status, ...printed };
}

/** The same for what has to work: resolves to standard output. @throws {Error} with everything it printed when it ends otherwise than with 0 */
export async function succeed(program: string, parameters: readonly string[], options?: RunOptions): Promise<string> {
  const { status, stdout, stderr } = await run(program, parameters, options);
  if (status === 0) return stdout;
  throw new Error(`${program} ${parameters.join(" ")} ended with ${status}:\n${stdout}${stderr}`);
}

/** Runs one `mayfly` command. */
export const runMayfly = (parameters: readonly string[], options?: RunOptions): Promise<Ended> =>
  run(process.execPath, [mayfly, ...parameters], options);

/** What a child prints, growing while it runs. */
export function capture(child: ChildProcess): { stdout: string; stderr: string } {
  const printed = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream]?.setEncoding("utf8").on("data", (text: string) => (printed[stream] += text));
  }
  return printed;
}
