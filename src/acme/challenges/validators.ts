/** The validators by challenge type, and their repetition (RFC 8555 §8.2). */
import { setTimeout as sleep } from "node:timers/promises";
import { dns01 } from "./dns01.ts";
import { http01 } from "./http01.ts";
import { tlsAlpn01 } from "./tlsAlpn01.ts";
import type { FailedValidation, Validation, ValidationGround, ValidationOutcome, Validator } from "./validation.ts";

export type ValidationType = "http-01" | "dns-01" | "tls-alpn-01";

export const validators: Readonly<Record<ValidationType, Validator>> = {
  "http-01": http01,
  "dns-01": dns01,
  "tls-alpn-01": tlsAlpn01,
};

export interface Retries {
  /** How often to try, the first time included. */
  readonly attempts: number;
  /** Pauses before the second attempt, the third …; the last one is used again where there are more attempts. */
  readonly delaysMs: readonly number[];
  readonly signal: AbortSignal;
  /** Told of every failure that will be followed by another attempt: the client is to see it (RFC 8555 §8.2). */
  readonly onRetry?: (failure: FailedValidation) => void | Promise<void>;
}

/**
 * Validates, again while the failure is retryable and attempts are left; resolves to the last outcome.
 * Rejects as a `Validator` does: with `signal.reason` when aborted.
 */
export async function validateWithRetries(
  type: ValidationType,
  validation: Validation,
  outbound: ValidationGround,
  { attempts, delaysMs, signal, onRetry }: Retries,
): Promise<ValidationOutcome> {
  for (let made = 1; ; made += 1) {
    const outcome = await validators[type](validation, outbound, signal);
    if (outcome.ok || !outcome.retryable || made >= attempts) return outcome;
    await onRetry?.(outcome);
    await sleep(delaysMs[made - 1] ?? delaysMs.at(-1) ?? 0, undefined, { signal });
  }
}
