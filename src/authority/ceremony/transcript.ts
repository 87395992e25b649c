/**
 * The transcript of a ceremony: a file that only grows, with the time before each line. Each run ends with a line that has SHA-256 over
 * everything above it, so that it can be told whether that was changed: `head -n -1 FILE | sha256sum`.
 */
import { createHash } from "node:crypto";

/** Where the lines go. */
export interface TranscriptFile {
  /** What is there from runs before. */
  readonly before: Buffer;
  /** Behind everything that is there, and lasting when it resolves. */
  append(text: string): Promise<void>;
}

export interface Transcript {
  write(line: string): Promise<void>;
  /** The last line of this run. */
  finish(): Promise<void>;
}

/** What stands before the digest. */
const digestMark = "SHA-256 of all lines above: ";

/** Begins a run. */
export function openTranscript(file: TranscriptFile, now: () => Date): Transcript {
  const hash = createHash("sha256").update(file.before);
  const write = async (line: string): Promise<void> => {
    // A line of a certificate's could otherwise pretend to be one of the transcript's own.
    const text = `${now().toISOString()}  ${line.replaceAll(/[\r\n]+/g, " ⏎ ")}\n`;
    hash.update(text);
    await file.append(text);
  };
  return {
    write,
    finish: async () => await file.append(`${digestMark}${hash.copy().digest("hex")}\n`),
  };
}

/** Whether runs before ended with their digests, and those are right; a sentence about what is not so. */
export function faultOfTranscript(before: Buffer): string | undefined {
  const hash = createHash("sha256");
  const text = before.toString("utf8");
  if (text === "") return undefined;
  if (!text.endsWith("\n")) return "the run before was cut off in the middle of a line";
  let open = false;
  for (const line of text.slice(0, -1).split("\n")) {
    open = !line.startsWith(digestMark);
    if (!open && line.slice(digestMark.length) !== hash.copy().digest("hex"))
      return "a digest of a run before is not that of the lines above it: the transcript was changed";
    hash.update(`${line}\n`);
  }
  return open ? "the run before was cut off" : undefined;
}
