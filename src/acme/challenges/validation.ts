/**
 * What one validation is: its input, its outcome, its deadline. Shared by the three validators (RFC 8555 §8, RFC 8737, RFC 8738),
 * which know nothing of orders, of our HTTP server or of the database.
 */
import { timingSafeEqual } from "node:crypto";
import { within } from "../../outbound/deadline.ts";
import { OutboundFailure, plain } from "../../outbound/failure.ts";
import type { Outbound } from "../../outbound/outbound.ts";

/** The account that is to prove something. */
export interface ProvingAccount {
  readonly url: string;
  /** `accountHashPrefix` of its directory. */
  readonly hashPrefix: string;
  /** Of its keys, the present one first. */
  readonly thumbprints: () => Promise<readonly Buffer[]>;
}

/** What is to be shown, and for whom. */
export interface Validation {
  readonly identifier: {
    readonly type: "dns" | "ip";
    /** Canonical: lower-case A-labels without a final dot, RFC 5952 text for IPv6; for a wildcard the base name. */
    readonly value: string;
  };
  /** The challenge's token, base64url. */
  readonly token: string;
  /** RFC 8555 §8.1: token, ".", thumbprint of the account key. */
  readonly keyAuthorization: string;
  /** The names in front of the identifier are to be proved as well. */
  readonly wildcard: boolean;
  /** The same for all names below it (RFC 9444). */
  readonly subdomains: boolean;
  /** dns-persist-01 only: as the challenge has them. */
  readonly issuerDomainNames: readonly string[];
  readonly account: ProvingAccount;
}

/** The ACME error types that a validation can end with (RFC 8555 §6.7); each is a code of `problem/problem.ts`. */
export type ValidationProblem =
  | "caa"
  | "connection"
  | "dns"
  | "malformed"
  | "tls"
  | "unauthorized"
  | "incorrectResponse"
  | "rejectedIdentifier";

export interface FailedValidation {
  readonly ok: false;
  readonly problem: ValidationProblem;
  /** Printable ASCII, at most 300 characters; what the target sent appears only through `quoted`. */
  readonly detail: string;
  /** A failed connection or lookup: worth another try (RFC 8555 §8.2). A wrong answer is not. */
  readonly retryable: boolean;
}

export interface PassedValidation {
  readonly ok: true;
  /** CAA records were looked at as well, and permit. */
  readonly caaChecked?: boolean;
  /** What was found does not count any longer. */
  readonly validUntil?: Date;
}

export type ValidationOutcome = PassedValidation | FailedValidation;

/** What a validator works with: the way out, and how the operator wants it used. */
export interface ValidationGround extends Outbound {
  readonly http01Port: number;
  readonly tlsAlpn01Port: number;
  /** For one attempt as a whole. */
  readonly timeoutMs: number;
  readonly userAgent: string;
  readonly now: () => Date;
}

/**
 * One attempt, done within `outbound.timeoutMs`. Whatever the target does becomes an outcome; rejects only with `signal.reason`
 * when the caller gives up, or for a fault of ours.
 */
export type Validator = (
  validation: Validation,
  outbound: ValidationGround,
  signal: AbortSignal,
) => Promise<ValidationOutcome>;

/** How a validator's parts say "no"; `attempt` turns it into an outcome. */
export class ValidationFailure extends Error {
  override readonly name = "ValidationFailure";
  readonly problem: ValidationProblem;
  readonly retryable: boolean;
  constructor(problem: ValidationProblem, detail: string, { retryable = false } = {}) {
    super(plain(detail));
    this.problem = problem;
    this.retryable = retryable;
  }
}

/**
 * Runs one attempt under its deadline. `work` resolves when the challenge is met and throws `ValidationFailure` when it is not; its
 * signal aborts at the deadline, when the caller gives up, and when the attempt is over, so nothing it opened outlives the attempt.
 */
export async function attempt(
  timeoutMs: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<Omit<PassedValidation, "ok"> | void>,
  problem: ValidationProblem = "connection",
): Promise<ValidationOutcome> {
  const late = () => new ValidationFailure(problem, `no complete answer within ${timeoutMs} ms`, { retryable: true });
  try {
    return { ok: true, ...(await within(timeoutMs, signal, late, work)) };
  } catch (error) {
    const failure = error instanceof OutboundFailure ? verdict(error) : error;
    if (!(failure instanceof ValidationFailure)) throw failure;
    return { ok: false, problem: failure.problem, detail: failure.message, retryable: failure.retryable };
  }
}

/** What an outside that could not be used means for the identifier; nothing, where the trouble is ours. */
export function verdict(failure: OutboundFailure): ValidationFailure | OutboundFailure {
  const { problem, message, retryable } = failure;
  if (problem === "ours") return failure;
  const verdicts = { answer: "unauthorized", forbidden: "rejectedIdentifier" } as const;
  return new ValidationFailure(problem === "answer" || problem === "forbidden" ? verdicts[problem] : problem, message, {
    retryable,
  });
}

/** Equality that takes the same time wherever the difference is. */
export function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}
