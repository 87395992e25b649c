/** What a fuzz target is, and how it says that something is wrong. */
import type { Random } from "./random.ts";

/** What became of an input. A target that refuses all or accepts all tests little: the runner shows both counts. */
export type Verdict = "accepted" | "refused";

export interface Target {
  readonly name: string;
  /** What is fed, in a few words for --help. */
  readonly about: string;
  /** Cases that continuous integration runs: about a second or two of them. */
  readonly cases: number;
  /** A case that takes longer is a finding; milliseconds. */
  readonly slowMs: number;
  /** One input: a valid one, or one that was bent. The same for the same chance. */
  make(random: Random): Buffer;
  /** Feeds it. @throws whatever is wrong */
  check(input: Buffer): Verdict | Promise<Verdict>;
  /** Frees what it holds. */
  close?(): Promise<void>;
}

/** An invariant does not hold. */
export class Wrong extends Error {
  override readonly name = "Wrong";
}

/** @throws {Wrong} */
export function holds(condition: boolean, what: string): void {
  if (!condition) throw new Wrong(what);
}

type ErrorClass = abstract new (...parameters: never[]) => Error;

/**
 * What was accepted is not accepted with an octet behind it.
 * @throws {Wrong}
 */
export function refusesTrailing(read: (input: Buffer) => unknown, input: Buffer, refusal: ErrorClass): void {
  holds(
    readOrRefuse(() => ({ read: read(Buffer.concat([input, Buffer.alloc(1)])) }), refusal) === undefined,
    "it ends later",
  );
}

/**
 * Runs a reader that may refuse with these errors and with no other.
 * @returns what was read, or undefined where it refused
 */
export function readOrRefuse<T>(read: () => T, ...refusals: readonly ErrorClass[]): T | undefined {
  try {
    return read();
  } catch (error) {
    if (refusals.some((refusal) => error instanceof refusal)) return undefined;
    throw error;
  }
}
