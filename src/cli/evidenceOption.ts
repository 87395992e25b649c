/**
 * `--evidence`: where the agent's evidence comes from. A file, standard input, or a command that is told what to bind it to.
 */
import { spawn } from "node:child_process";
import { open } from "node:fs/promises";
import {
  type Accept,
  chooseSources,
  endorsementBytesMax,
  type Endorsements,
  type EvidenceBinding,
  evidenceBytesMax,
  type EvidenceItem,
} from "../client/evidence.ts";
import { possessionFormat } from "../client/possession.ts";
import { type CommandWorld, UsageError } from "./command.ts";
import { readPossession } from "./possessionFiles.ts";

/** The option's value in its parts. */
export interface EvidenceOption {
  readonly kind: "file" | "exec" | "possession";
  /** A path, `-` for standard input, a shell command, or the paths of a certificate and its key with a comma in between. */
  readonly from: string;
  /** Undefined where the challenge is to decide. */
  readonly format: string | undefined;
  readonly ref: string | undefined;
}

const form = /^(?<format>[a-z0-9-]{1,64})(?:@(?<ref>[a-z0-9-]{1,40}))?:(?<from>.+)$/s;
const name = /^[a-z0-9-]{1,64}$/;
const optionsMax = 4;

/**
 * Reads `FORMAT:FILE`, `FORMAT@REF:FILE`, `exec:COMMAND` or `exec@REF:COMMAND`, each of another source; with format x509-pop FILE is
 * `CERT,KEY`.
 * @param ref of the only one
 * @param format of the only one, where it is a command
 * @throws {UsageError}
 */
export function readEvidenceOptions(
  texts: readonly string[],
  ref: string | undefined,
  format: string | undefined,
): readonly EvidenceOption[] {
  if (texts.length > optionsMax) throw new UsageError(`--evidence is there more than ${optionsMax} times`);
  if (texts.length > 1 && (ref !== undefined || format !== undefined))
    throw new UsageError("--ref and --format go with one --evidence; of several, each says FORMAT@REF:FILE itself");
  if (texts.filter((text) => /^[^:]*:-$/.test(text)).length > 1)
    throw new UsageError("the standard input is one piece of evidence only");
  return texts.map((text) => readEvidenceOption(text, ref, format));
}

function readEvidenceOption(text: string, ref: string | undefined, format: string | undefined): EvidenceOption {
  const parts = form.exec(text)?.groups;
  const from = parts?.["from"];
  if (parts === undefined || from === undefined)
    throw new UsageError("--evidence is FORMAT:FILE, FORMAT@REF:FILE, exec:COMMAND or exec@REF:COMMAND");
  const own = { format: parts["format"], ref: parts["ref"] };
  if (own.ref !== undefined && ref !== undefined && own.ref !== ref)
    throw new UsageError(`--ref is ${ref}, but the evidence is of ${own.ref}`);
  if (format !== undefined && !name.test(format))
    throw new UsageError(`--format is "${format}", expected the name of a format, such as jwt`);
  const found = { from, ref: own.ref ?? ref };
  if (own.format === "exec") return { kind: "exec", format, ...found };
  if (format !== undefined && format !== own.format)
    throw new UsageError(`--format is ${format}, but the evidence is ${own.format}`);
  if (own.format !== possessionFormat) return { kind: "file", format: own.format, ...found };
  if (!/^[^,]+,[^,]+$/.test(from)) throw new UsageError("--evidence x509-pop:CERT,KEY needs two files");
  return { kind: "possession", format: own.format, ...found };
}

/** Sources that the options name in full: then evidence can go with the order, before any challenge has named them. */
export function namedSources(options: readonly EvidenceOption[]): readonly Accept[] | undefined {
  const sources = options.flatMap(({ format, ref }) =>
    format === undefined || ref === undefined ? [] : [{ format, ref, minBinding: "" }],
  );
  const [first, ...others] = sources;
  if (first === undefined || sources.length < options.length) return undefined;
  return [others.length === 0 ? first : { ...first, with: others }];
}

type World = Pick<CommandWorld, "env" | "stdin">;

/**
 * Evidence whenever it is asked for: first the sources are settled, then the evidence is fetched. Files are read and commands run anew each
 * time, because what they yield may be bound to the request; standard input is read once.
 * @throws {ClientError} evidence, when no source or more than one fits · {Error} for a file or command that yields none
 */
export function evidenceFrom(
  options: readonly EvidenceOption[],
  { env, stdin }: World,
): (binding: EvidenceBinding) => Promise<readonly EvidenceItem[]> {
  let input: Promise<string> | undefined;
  const read = async ({ kind, from }: EvidenceOption, binding: EvidenceBinding): Promise<string> => {
    if (kind === "possession") {
      const [certificate = "", key = ""] = from.split(",");
      const proof = await readPossession(certificate, key);
      return proof(binding);
    }
    if (kind === "exec") return runCommand(from, binding, env);
    return from === "-" ? (input ??= readLimited(stdin, "the standard input")) : readSource(from);
  };
  return async (binding) => {
    const sources = chooseSources(binding.accept, options);
    return await Promise.all(
      options.map(async (option, index) => {
        const { format = "", ref = "" } = sources[index] ?? {};
        return { format, ref, ...readItem((await read(option, binding)).trim(), option) };
      }),
    );
  };
}

/** The bare value, or a JSON object with it and its endorsements; no value begins as an object does. */
function readItem(text: string, option: EvidenceOption): { value: string; endorsements?: Endorsements } {
  if (text === "") throw new Error(`${nameOf(option)} yields nothing`);
  if (!text.startsWith("{")) {
    if (Buffer.byteLength(text) > evidenceBytesMax) throw tooLarge(option, evidenceBytesMax);
    return { value: text };
  }
  const { value, endorsements } = parse(text);
  if (typeof value !== "string" || value === "") throw new Error(`${nameOf(option)} yields an object without a value`);
  if (endorsements === undefined) return { value };
  if (!isEndorsements(endorsements))
    throw new Error(`${nameOf(option)} yields endorsements that are not texts, or lists of texts, by name`);
  return { value, endorsements };
}

function parse(text: string): { readonly value?: unknown; readonly endorsements?: unknown } {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {}; // The parser's message would quote the evidence.
  }
}

function isEndorsements(value: unknown): value is Endorsements {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value)
    .flat()
    .every((text) => typeof text === "string");
}

const tooLarge = (option: EvidenceOption, bytes: number): Error =>
  new Error(`${option.kind === "exec" ? "the output of " : ""}${nameOf(option)} has more than ${bytes} bytes`);

function nameOf({ kind, from }: EvidenceOption): string {
  if (kind === "exec") return "the evidence command";
  return from === "-" ? "the standard input" : `the evidence file ${from}`;
}

/** Value, endorsements, and what JSON puts around them. */
const readBytesMax = evidenceBytesMax + endorsementBytesMax + 16_384;

/** A file of at most as many bytes as evidence may have. @param what - names it in messages, for example "evidence" */
export async function readSource(path: string, what = "evidence"): Promise<string> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`the ${what} file ${path} cannot be read (${error.code})`, { cause: error });
  });
  return readLimited(file.createReadStream(), `the ${what} file ${path}`);
}

async function readLimited(stream: NodeJS.ReadableStream, what: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const piece = Buffer.from(chunk);
    bytes += piece.length;
    if (bytes > readBytesMax) throw new Error(`${what} has more than ${readBytesMax} bytes`);
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
