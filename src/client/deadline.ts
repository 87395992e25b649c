/**
 * The time one request for a certificate may take: a timer and the caller's signal as one AbortSignal.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { ClientError } from "./errors.ts";

export interface Deadline {
  /** Aborts with a `ClientError` (timeout or aborted) as its reason. */
  readonly signal: AbortSignal;
  /** True when `milliseconds` from now are still inside. */
  allows(milliseconds: number): boolean;
  /** Says what is waited for from now on, for a timeout's message. */
  waitingFor(what: string): void;
  /**
   * Sleeps, unless that would outlast the deadline. `why` becomes part of a timeout's message.
   * @throws {ClientError} timeout · aborted
   */
  wait(milliseconds: number, why: string): Promise<void>;
  /** Must be called when the work is over: the timer would hold the process. */
  end(): void;
}

/** Starts the clock: the work ends after `timeoutMs`, or when the caller aborts. */
export function openDeadline(timeoutMs: number, caller: AbortSignal | undefined): Deadline {
  const controller = new AbortController();
  const endsAt = performance.now() + timeoutMs;
  let awaited = "the server does not answer";
  const timedOut = (): ClientError =>
    new ClientError("timeout", `no certificate within ${timeoutMs / 1000} s: ${awaited}`);
  const timer = setTimeout(() => controller.abort(timedOut()), timeoutMs);
  const onCallerAbort = (): void => {
    controller.abort(new ClientError("aborted", "the request was aborted", { cause: caller?.reason }));
  };
  if (caller?.aborted) onCallerAbort();
  else caller?.addEventListener("abort", onCallerAbort, { once: true });

  const allows = (milliseconds: number): boolean => performance.now() + milliseconds < endsAt;
  return {
    signal: controller.signal,
    allows,
    waitingFor(what) {
      awaited = what;
    },
    async wait(milliseconds, why) {
      awaited = why;
      controller.signal.throwIfAborted();
      if (!allows(milliseconds)) throw timedOut();
      await sleep(milliseconds, undefined, { signal: controller.signal }).catch(() =>
        controller.signal.throwIfAborted(),
      );
    },
    end() {
      clearTimeout(timer);
      caller?.removeEventListener("abort", onCallerAbort);
    },
  };
}

/** How long to pause before try number `round` (from 1) where the server names no time: 250 ms, doubled up to 4 s. */
export function backOffMs(round: number): number {
  return Math.min(250 * 2 ** (round - 1), 4_000);
}
