/** How often, when and with what memory a validation is tried again (RFC 8555 §8.2). Pure. */
import { problem, problemDocument, type ProblemDocument } from "../../problem/problem.ts";
import type { Identifier } from "../ports.ts";
import { timestamp } from "../resources.ts";
import type { FailedValidation } from "./validation.ts";

export interface Retries {
  /** How often the server tries of its own accord, the first time included. */
  readonly attempts: number;
  /** Pause before the second attempt, doubled before each further one. */
  readonly retryDelayMs: number;
}

/** However often it was doubled. */
const pauseMsMax = 300_000;
/** While what this server needs is away. */
const ownTroubleMs = { first: 2_000, most: 15_000 };
/** Of the failures that a challenge shows, the latest. */
const shownMax = 10;

/** What is tried again at a client's wish is not counted, but with that there is an end as well. */
export const attemptsInAllMax = 20;

/** A client that asks for the next attempt at once gets it no sooner than this after the last one. */
export const leastPauseMs = 1_000;

/** The pause after the `made`th attempt. */
export function pauseMs({ retryDelayMs }: Retries, made: number): number {
  return Math.min(retryDelayMs * 2 ** (made - 1), pauseMsMax);
}

/** The pause after our own trouble has kept us from an attempt for the `times`th time in a row. */
export function ownTroublePauseMs(times: number): number {
  return Math.min(ownTroubleMs.first * 2 ** (times - 1), ownTroubleMs.most);
}

/** No pause is longer. */
export function longestPauseMs(retries: Retries): number {
  const last = Math.max(1, retries.attempts - 1);
  return Math.max(ownTroubleMs.most, leastPauseMs, pauseMs(retries, last));
}

/** How many failures an `error` tells of, so that a process that takes a validation over goes on counting. */
export function failuresIn(error: ProblemDocument | undefined): number {
  return error?.subproblems?.length ?? 0;
}

/**
 * The `error` of a challenge with one more failure: the last one is what it says, and each attempt is a subproblem (RFC 8555 §8.2; that
 * `error` may be there while the challenge is processing is erratum 5732).
 */
export function withFailure(
  error: ProblemDocument | undefined,
  { problem: code, detail }: Pick<FailedValidation, "problem" | "detail">,
  identifier: Identifier,
  now: Date,
): ProblemDocument {
  const latest = problemDocument(
    problem(code, detail, { subproblems: [{ code, detail: `${detail} (${timestamp(now)})`, identifier }] }),
  );
  return { ...latest, subproblems: [...(error?.subproblems ?? []), ...(latest.subproblems ?? [])].slice(-shownMax) };
}
