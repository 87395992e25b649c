/**
 * Notes that a token refused a PIN, one file for each token: many tokens lock after three wrong PINs and warn of it by no flag, and a
 * supervisor starts a server more often than that. A note holds nothing of the PIN, but which version of its file was tried.
 */
import { createHash } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileErrorCode } from "./secretFile.ts";

const noteBytesMax = 1000;

/** A refusal of before. */
export interface Refusal {
  /** Where the note is. */
  readonly file: string;
  /** ISO 8601. */
  readonly at: string;
  /** See `OpenedPin.version`. */
  readonly version: string | undefined;
}

interface NotedToken {
  readonly label: string;
  readonly serialNumber: string;
}

function fileOf(directory: string, module: string, { label, serialNumber }: NotedToken): string {
  const name = createHash("sha256")
    .update(JSON.stringify([module, label, serialNumber]))
    .digest("hex")
    .slice(0, 16);
  return join(directory, `pin-refused-${name}.json`);
}

/** @throws {Error} when there is a note that cannot be read: the safe reading of it is that the PIN was refused */
export async function readRefusal(
  directory: string | undefined,
  module: string,
  token: NotedToken,
): Promise<Refusal | undefined> {
  if (directory === undefined) return undefined;
  const file = fileOf(directory, module, token);
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    if (fileErrorCode(error) === "ENOENT") return undefined;
    throw new Error(
      `cannot read ${file}, which notes that a PIN was refused: ${fileErrorCode(error) ?? "unknown error"}`,
    );
  });
  if (text === undefined) return undefined;
  return { file, ...parsed(text.slice(0, noteBytesMax)) };
}

/** Of a damaged note only that it is there counts. */
function parsed(text: string): Pick<Refusal, "at" | "version"> {
  try {
    const { at, version } = JSON.parse(text) as { at?: unknown; version?: unknown };
    return { at: String(at), version: typeof version === "string" ? version : undefined };
  } catch {
    return { at: "an unknown day", version: undefined };
  }
}

/** Durable enough for its purpose: at worst, one more try. */
export async function recordRefusal(
  directory: string | undefined,
  module: string,
  token: NotedToken,
  version: string | undefined,
): Promise<void> {
  if (directory === undefined) return;
  const { label } = token;
  const note = { about: `token "${label}" refused its PIN`, at: new Date().toISOString(), version };
  await writeFile(fileOf(directory, module, token), `${JSON.stringify(note)}\n`, { mode: 0o600 });
}

/** The token took a PIN. */
export async function clearRefusal({ file }: Refusal): Promise<void> {
  await rm(file, { force: true });
}
