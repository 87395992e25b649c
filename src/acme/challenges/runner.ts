/**
 * Validation outside the client's request (RFC 8555 §7.5.1, §8.2): started by the request that moved the challenge to `processing`,
 * waited for only briefly, tried again in the background; after a crash it is taken up by a job.
 */
import { OutboundFailure } from "../../outbound/failure.ts";
import type { Turns } from "../limits/turns.ts";
import type { Authorization, Challenge, OrderStore, Signer } from "../ports.ts";
import { timestamp } from "../resources.ts";
import {
  attemptsInAllMax,
  failuresIn,
  leastPauseMs,
  ownTroublePauseMs,
  pauseMs,
  type Retries,
  withFailure,
} from "./attempts.ts";
import { keyAuthorization } from "./keyAuthorization.ts";
import { isAnsweredByEvidence } from "./offered.ts";
import type { ProvingAccount, Validation, ValidationOutcome } from "./validation.ts";
import type { ValidationType } from "./validators.ts";
import { createWaiting } from "./waiting.ts";

export interface ValidationRunnerParts {
  readonly orders: OrderStore;
  /** One attempt. Rejects with an `OutboundFailure` of the kind `ours` when nothing was found out. */
  readonly validate: (type: ValidationType, validation: Validation, signal: AbortSignal) => Promise<ValidationOutcome>;
  readonly retries: Retries;
  readonly accountOf: (signer: Signer) => ProvingAccount;
  /** Attempts of one account at once; the others wait. */
  readonly turns: Turns;
  readonly now: () => Date;
  /** How long a request waits for its validation before it answers `processing`; milliseconds. */
  readonly patienceMs: number;
  /** Seconds that a validated name counts. */
  readonly validSeconds: number;
  /** Told of what stopped a validation; it will be taken up again. */
  readonly onError: (error: unknown) => void;
  /** Told of what a validation waits for and goes on when it is there. */
  readonly onOwnTrouble: (error: OutboundFailure) => void;
  /** Told of every challenge that became valid or invalid. */
  readonly onEnded: (challenge: Challenge) => void;
}

export interface ValidationRunner {
  /** Runs the validation; resolves to the challenge as it is when it ends or patience does. */
  start(signer: Signer, authorization: Authorization, challenge: Challenge): Promise<Challenge>;
  /** Makes the next attempt of a `processing` challenge now, where it waits for one here; resolves as `start` does. */
  hurry(authorization: Authorization, challenge: Challenge): Promise<Challenge>;
  /** Takes up validations that a stopped process left behind; resolves to their number. */
  resume(before: Date): Promise<number>;
  /** Stops what runs; it will be taken up again. */
  stop(): Promise<void>;
}

/** A validation under way in this process. */
interface Running {
  /** The challenge as the store has it. */
  current: Challenge;
  readonly work: Promise<Challenge>;
  /** Ends the pause between two attempts; undefined while one is made. */
  wake?: (() => void) | undefined;
}

/** How many left-behind validations one round takes up. */
const resumeBatch = 200;

export function createValidationRunner(parts: ValidationRunnerParts): ValidationRunner {
  const { orders, now, retries } = parts;
  const stopping = new AbortController();
  const running = new Map<string, Running>();
  const queue = createWaiting((ids) => orders.keepValidations(ids), parts.onError);

  /** Attempts, until one decides or nothing is left to decide. */
  async function run(signer: Signer, authorization: Authorization, challenge: Challenge, own: () => Running) {
    const { error: _, retryAt: __, ...bare } = challenge;
    const { type, validation } = toValidate(signer, authorization, challenge, parts.accountOf(signer));
    let { error } = challenge;
    let counted = failuresIn(error) + 1;
    let made = counted;
    let troubles = 0;
    for (;;) {
      const outcome = await attempt(signer, authorization, type, validation);
      if (stopping.signal.aborted) return own().current; // Nobody's fault: taken up after the restart.
      let pause = 0;
      if (outcome instanceof OutboundFailure) {
        troubles += 1;
        pause = ownTroublePauseMs(troubles);
      } else if (outcome.ok) {
        const validated = timestamp(now());
        const caaCheckedAt = outcome.caaChecked === true && { caaCheckedAt: validated };
        const valid: Challenge = { ...bare, status: "valid", validated, ...caaCheckedAt };
        const lastMs = outcome.validUntil?.getTime() ?? Infinity;
        const expiresAt = new Date(Math.min(now().getTime() + parts.validSeconds * 1000, lastMs));
        return ended((await orders.validated(authorization.id, valid, expiresAt)) && valid);
      } else {
        error = withFailure(error, outcome, authorization.identifier, now());
        if (!outcome.retryable || counted >= retries.attempts || made >= attemptsInAllMax) {
          const invalid: Challenge = { ...bare, status: "invalid", error };
          return ended((await orders.failed(authorization, invalid)) !== undefined && invalid);
        }
        troubles = 0;
        pause = pauseMs(retries, counted);
      }
      const retryAt = new Date(now().getTime() + pause).toISOString();
      const waiting: Challenge = { ...bare, status: "processing", ...(error && { error }), retryAt };
      if (!(await orders.retrying(authorization.id, waiting))) return ended(false);
      own().current = waiting;
      const cause = await waitFor(own(), pause);
      if (cause === "stopped") return waiting;
      if (outcome instanceof OutboundFailure) continue;
      made += 1;
      if (cause === "elapsed") counted += 1; // What the client asked for is not taken from what the server does of its own accord.
    }

    /** What holds when the account or the authorization ended first is in the store, not in what was found out here. */
    async function ended(moved: Challenge | false): Promise<Challenge> {
      if (moved) {
        parts.onEnded(moved);
        return moved;
      }
      const { object } = await orders.readAuthorization(signer, authorization.id);
      return object?.challenges.find((other) => other.type === challenge.type) ?? challenge;
    }
  }

  /** One attempt; our own trouble is an outcome of its own kind, which says nothing of the identifier. */
  async function attempt(
    { id: accountId }: Signer,
    { id }: Authorization,
    type: ValidationType,
    validation: Validation,
  ): Promise<ValidationOutcome | OutboundFailure> {
    const leave = await queue.during(id, parts.turns.take(accountId, stopping.signal));
    try {
      return await parts.validate(type, validation, stopping.signal);
    } catch (error) {
      if (!(error instanceof OutboundFailure)) throw error;
      if (!stopping.signal.aborted) parts.onOwnTrouble(error);
      return error;
    } finally {
      leave();
    }
  }

  /** Waits; a client may end that, though not at once, and so does the server's stop. */
  function waitFor(own: Running, ms: number): Promise<"elapsed" | "asked" | "stopped"> {
    const { promise, resolve } = Promise.withResolvers<"elapsed" | "asked" | "stopped">();
    const begun = performance.now();
    const timers = [setTimeout(() => resolve("elapsed"), ms)];
    const stop = (): void => resolve("stopped");
    stopping.signal.addEventListener("abort", stop, { once: true });
    if (stopping.signal.aborted) stop();
    own.wake = () => {
      own.wake = undefined;
      timers.push(setTimeout(() => resolve("asked"), Math.max(0, begun + leastPauseMs - performance.now())));
    };
    return promise.finally(() => {
      own.wake = undefined;
      for (const timer of timers) clearTimeout(timer);
      stopping.signal.removeEventListener("abort", stop);
    });
  }

  function launch(signer: Signer, authorization: Authorization, challenge: Challenge): Running {
    const { id } = authorization;
    // The attempt begins in a later turn, when `own` is there.
    const work = Promise.resolve().then(() => run(signer, authorization, challenge, () => own));
    const own: Running = { current: { ...challenge, status: "processing" }, work };
    running.set(id, own);
    // A failure here is ours (the database went away): the challenge stays `processing` and the job takes it up again.
    work
      .catch((error: unknown) => {
        if (!stopping.signal.aborted) parts.onError(error);
      })
      .finally(() => {
        if (running.get(id) === own) running.delete(id);
      });
    return own;
  }

  /** How the challenge is when the work ends, or patience does. */
  async function patiently(own: Running): Promise<Challenge> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, parts.patienceMs);
    const ending = own.work.catch(() => own.current);
    return (await Promise.race([ending, promise]).finally(() => clearTimeout(timer))) ?? own.current;
  }

  return {
    start: (signer, authorization, challenge) => patiently(launch(signer, authorization, challenge)),
    async hurry({ id }, challenge) {
      const own = running.get(id);
      // Where an attempt is being made there is nothing to hurry, and another process's pause is its own.
      if (own?.wake === undefined || own.current.type !== challenge.type) return challenge;
      own.wake();
      return patiently(own);
    },
    async resume(before) {
      const left = await orders.reclaimValidations(before, resumeBatch);
      for (const { signer, authorization } of left) {
        const challenge = authorization.challenges.find(({ status }) => status === "processing");
        if (challenge !== undefined && !running.has(authorization.id)) launch(signer, authorization, challenge);
      }
      return left.length;
    },
    async stop() {
      stopping.abort();
      await Promise.allSettled([...running.values()].map(({ work }) => work));
    },
  };
}

function toValidate(
  { thumbprint }: Signer,
  { identifier, wildcard, subdomains }: Authorization,
  { type, token, issuerDomainNames = [] }: Challenge,
  account: ProvingAccount,
) {
  if (identifier.type === "uri" || identifier.type === "permanent-identifier" || isAnsweredByEvidence(type))
    throw new Error("a SPIFFE ID or device is proved by evidence only");
  const validation: Validation = {
    identifier: { type: identifier.type, value: identifier.value },
    token,
    keyAuthorization: keyAuthorization(token, thumbprint),
    wildcard,
    subdomains,
    issuerDomainNames,
    account,
  };
  return { type, validation };
}
