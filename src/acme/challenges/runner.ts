/**
 * Validation outside the client's request (RFC 8555 §7.5.1, §8.2): started by the request that moved the challenge to `processing`,
 * waited for only briefly, finished in the background; after a crash it is taken up again by a job.
 */
import { problem, problemDocument } from "../../problem/problem.ts";
import type { Authorization, Challenge, OrderStore, Signer } from "../ports.ts";
import { timestamp } from "../resources.ts";
import { keyAuthorization } from "./keyAuthorization.ts";
import type { Validation, ValidationOutcome } from "./validation.ts";

export interface ValidationRunnerParts {
  readonly orders: OrderStore;
  /** Validates with the retries of RFC 8555 §8.2. */
  readonly validate: (
    type: "http-01" | "dns-01" | "tls-alpn-01",
    validation: Validation,
    signal: AbortSignal,
  ) => Promise<ValidationOutcome>;
  readonly now: () => Date;
  /** How long a request waits for its validation before it answers `processing`; milliseconds. */
  readonly patienceMs: number;
  /** Seconds that a validated name counts. */
  readonly validSeconds: number;
  readonly onError: (error: unknown) => void;
  /** Told of every challenge that became valid or invalid. */
  readonly onEnded: (challenge: Challenge) => void;
}

export interface ValidationRunner {
  /** Runs the validation; resolves to the challenge as it is when it ends or patience does. */
  start(signer: Signer, authorization: Authorization, challenge: Challenge): Promise<Challenge>;
  /** Takes up validations that a stopped process left behind; resolves to their number. */
  resume(before: Date): Promise<number>;
  /** Stops what runs; it will be taken up again. */
  stop(): Promise<void>;
}

/** How many left-behind validations one round takes up. */
const resumeBatch = 50;

export function createValidationRunner(parts: ValidationRunnerParts): ValidationRunner {
  const stopping = new AbortController();
  const running = new Set<Promise<Challenge>>();

  async function run(signer: Signer, authorization: Authorization, challenge: Challenge): Promise<Challenge> {
    const { identifier } = authorization;
    if (identifier.type === "uri" || challenge.type === "workload-attest-01" || challenge.type === "tkauth-01")
      throw new Error("a uri is proved by evidence only");
    const validation: Validation = {
      identifier: { type: identifier.type, value: identifier.value },
      token: challenge.token,
      keyAuthorization: keyAuthorization(challenge.token, signer.thumbprint),
    };
    const outcome = await parts.validate(challenge.type, validation, stopping.signal);
    if (stopping.signal.aborted) return { ...challenge, status: "processing" }; // Nobody's fault: taken up after the restart.
    if (outcome.ok) {
      const valid: Challenge = { ...challenge, status: "valid", validated: timestamp(parts.now()) };
      const expiresAt = new Date(parts.now().getTime() + parts.validSeconds * 1000);
      return ended((await parts.orders.validated(authorization.id, valid, expiresAt)) && valid);
    }
    const refusal = problem(outcome.problem, outcome.detail, {
      subproblems: [{ code: outcome.problem, detail: outcome.detail, identifier }],
    });
    const invalid: Challenge = { ...challenge, status: "invalid", error: problemDocument(refusal) };
    return ended((await parts.orders.failed(authorization.id, invalid)) && invalid);

    /** What holds when the account or the authorization ended first is in the store, not in what was found out here. */
    async function ended(moved: Challenge | false): Promise<Challenge> {
      if (moved) {
        parts.onEnded(moved);
        return moved;
      }
      const { object } = await parts.orders.readAuthorization(signer, authorization.id);
      return object?.challenges.find(({ type }) => type === challenge.type) ?? challenge;
    }
  }

  function track(work: Promise<Challenge>): Promise<Challenge> {
    running.add(work);
    // A failure here is ours (the database went away): the challenge stays `processing` and the job takes it up again.
    work
      .catch((error: unknown) => {
        if (!stopping.signal.aborted) parts.onError(error);
      })
      .finally(() => running.delete(work));
    return work;
  }

  return {
    async start(signer, authorization, challenge) {
      const processing: Challenge = { ...challenge, status: "processing" };
      const work = track(run(signer, authorization, challenge)).catch(() => processing);
      const { promise: patience, resolve } = Promise.withResolvers<Challenge>();
      const timer = setTimeout(() => resolve(processing), parts.patienceMs);
      return await Promise.race([work, patience]).finally(() => clearTimeout(timer));
    },
    async resume(before) {
      const left = await parts.orders.reclaimValidations(before, resumeBatch);
      for (const { signer, authorization } of left) {
        const challenge = authorization.challenges.find(({ status }) => status === "processing");
        if (challenge !== undefined) track(run(signer, authorization, challenge)).catch(() => undefined);
      }
      return left.length;
    },
    async stop() {
      stopping.abort();
      await Promise.allSettled(running);
    },
  };
}
