/**
 * `--evidence`: where the agent's evidence comes from. A file, standard input, or a command that is told what to bind it to.
 */
import { spawn } from "node:child_process";
import { open } from "node:fs/promises";
import { chooseSource, type EvidenceBinding, evidenceBytesMax, type EvidenceItem } from "../client/evidence.ts";
import { type CommandWorld, UsageError } from "./command.ts";

/** The option's value in its parts. */
export interface EvidenceOption {
  readonly kind: "file" | "exec";
  /** A path, `-` for standard input, or a shell command. */
  readonly from: string;
  /** Undefined where the challenge is to decide. */
  readonly format: string | undefined;
  readonly ref: string | undefined;
}

export const evidenceFormats = ["jwt", "k8s", "atc"] as const;

/** Reads `jwt:FILE`, `k8s:FILE`, `atc:FILE` or `exec:COMMAND`. @throws {UsageError} */
export function readEvidenceOption(text: string, ref: string | undefined, format: string | undefined): EvidenceOption {
  const colon = text.indexOf(":");
  const [kind, from] = [text.slice(0, Math.max(colon, 0)), text.slice(colon + 1)];
  const known = evidenceFormats.find((one) => one === kind);
  if ((known === undefined && kind !== "exec") || from === "") {
    throw new UsageError("--evidence is jwt:FILE, k8s:FILE, atc:FILE or exec:COMMAND");
  }
  if (known !== undefined) {
    if (format !== undefined && format !== known)
      throw new UsageError(`--format is ${format}, but the evidence is ${known}`);
    return { kind: "file", from, format: known, ref };
  }
  if (format !== undefined && !evidenceFormats.some((one) => one === format)) {
    throw new UsageError(`--format is "${format}", expected one of ${evidenceFormats.join(", ")}`);
  }
  return { kind: "exec", from, format, ref };
}

/**
 * The evidence for one challenge: first the source is settled, then the evidence is fetched.
 * @throws {ClientError} evidence, when no source or more than one fits · {Error} for a file or command that yields none
 */
export async function fetchEvidence(
  option: EvidenceOption,
  binding: EvidenceBinding,
  { env, stdin }: Pick<CommandWorld, "env" | "stdin">,
): Promise<readonly EvidenceItem[]> {
  const { format, ref } = chooseSource(binding.accept, option);
  const read = { exec: () => runCommand(option.from, binding, env), file: () => readSource(option.from, stdin) };
  const value = (await read[option.kind]()).trim();
  if (value === "") throw new Error(`${nameOf(option)} yields nothing`);
  return [{ format, ref, value }];
}

function nameOf({ kind, from }: EvidenceOption): string {
  if (kind === "exec") return "the evidence command";
  return from === "-" ? "the standard input" : `the evidence file ${from}`;
}

async function readSource(path: string, stdin: NodeJS.ReadableStream): Promise<string> {
  if (path === "-") return readLimited(stdin, "the standard input");
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`the evidence file ${path} cannot be read (${error.code})`, { cause: error });
  });
  return readLimited(file.createReadStream(), `the evidence file ${path}`);
}

async function readLimited(stream: NodeJS.ReadableStream, what: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes > evidenceBytesMax) throw new Error(`${what} has more than ${evidenceBytesMax} bytes`);
    chunks.push(piece);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Runs the command in a process group of its own, so that all of it ends when the time is over. What it prints is never shown. */
async function runCommand(command: string, binding: EvidenceBinding, env: CommandWorld["env"]): Promise<string> {
  const child = spawn("/bin/sh", ["-c", command], {
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      ...env,
      MAYFLY_AUDIENCE: binding.boundAudience,
      MAYFLY_FIXED_AUDIENCE: binding.audience,
      MAYFLY_BINDING: binding.binding,
      MAYFLY_TOKEN: binding.token,
      MAYFLY_FINGERPRINT: binding.fingerprint,
      MAYFLY_SPIFFE_ID: binding.spiffeId,
    },
  });
  const stop = (): void => {
    if (child.exitCode === null && child.signalCode === null) endGroup(child.pid);
    child.stdout.destroy();
  };
  binding.signal.addEventListener("abort", stop, { once: true });
  try {
    const ended = new Promise<string | undefined>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", (status, signal) => {
        resolve(status === 0 ? undefined : signal === null ? `ended with status ${status}` : `was ended by ${signal}`);
      });
    });
    const [output, failure] = await Promise.all([
      readLimited(child.stdout, "the output of the evidence command"),
      ended,
    ]);
    if (failure !== undefined) throw new Error(`the evidence command ${failure}`);
    return output;
  } catch (error) {
    stop();
    throw error;
  } finally {
    binding.signal.removeEventListener("abort", stop);
  }
}

/** The whole group of a child that we have not seen end. */
function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch {
    // It ended by itself just now, which is what was wanted.
  }
}
