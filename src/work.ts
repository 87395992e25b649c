/** The periodic work of a running server, as one list. */
import type { Logger } from "pino";

import { longestPauseMs } from "./acme/challenges/attempts.ts";
import type { ValidationRunner } from "./acme/challenges/runner.ts";
import { keptEveryMs } from "./acme/challenges/waiting.ts";
import { firstIdOf } from "./acme/id.ts";
import type { Configuration } from "./config/load.ts";
import type { Issuing } from "./authority/issue.ts";
import { relayOutbox, type OutboxEvent } from "./events/outbox.ts";
import type { Metrics } from "./http/metrics.ts";
import type { Ocsp } from "./openOcsp.ts";
import { startJobs, type RunningJobs } from "./jobs/jobs.ts";
import type { Database } from "./store/database.ts";
import { createOutboxStore, prune } from "./store/maintenance.ts";

/** ACME objects are kept this long after their order could last have been open. */
const retentionMs = 7 * 86_400_000;

export interface WorkParts {
  readonly db: Database;
  /** Looks whether grants have changed: in case nobody said so. */
  readonly rereadGrants: () => Promise<void>;
  /** Looks whether issuers have changed. */
  readonly rereadIssuers: () => Promise<void>;
  /** Moves the issuers that are due. */
  readonly rotateIssuers: () => Promise<void>;
  /** Makes the revocation lists that are due. */
  readonly makeLists: () => Promise<void>;
  readonly ocsp: Pick<Ocsp, "catchUp" | "keepUp">;
  readonly issuing: Issuing;
  readonly validations: ValidationRunner;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly now: () => Date;
  readonly configuration: Configuration;
  /** Signs and verifies with every issuing key. @throws what the first that failed says */
  readonly testKeys: () => Promise<void>;
  /** Renews the listener's certificate where it is old. */
  readonly renewListener: () => Promise<void>;
}

/** Added to what could take longest before something counts as left behind; milliseconds. */
const graceMs = 5_000;

/**
 * An intent older than this has probably no request behind it. Taking one too early costs a signature and nothing else: the ledger
 * records one certificate for it, whoever brings it.
 */
const intentAgeMs = 5_000;

/**
 * A validation that was not heard of for so long has no process behind it: whoever runs one says so after every attempt, before
 * the pause that follows, and while it waits for its turn. CAA records have the time of an attempt once more.
 */
function validationAgeMs({ validation }: Configuration): number {
  return longestPauseMs(validation) + keptEveryMs + 2 * validation.timeoutMs + graceMs;
}

export interface LeftBehind {
  readonly intents: Date;
  readonly validations: Date;
}

/** What is older than this was left behind by a process that ended. */
export const leftBehind = (now: Date, configuration: Configuration): LeftBehind => ({
  intents: new Date(now.getTime() - intentAgeMs),
  validations: new Date(now.getTime() - validationAgeMs(configuration)),
});

/** Starts all of it; the first round of each comes after its interval. */
export function startWork({
  db,
  rereadGrants,
  rereadIssuers,
  rotateIssuers,
  makeLists,
  ocsp,
  issuing,
  validations,
  metrics,
  log,
  now,
  configuration,
  testKeys,
  renewListener,
}: WorkParts): RunningJobs {
  const ago = (milliseconds: number): Date => new Date(now().getTime() - milliseconds);
  const outbox = createOutboxStore(db);

  function observe({ topic, payload }: OutboxEvent): void {
    if (topic === "certificate.issued") metrics.certificateIssued(String(payload["profile"]), String(payload["door"]));
    log.info({ topic, ...payload }, "event");
  }

  const jobs = [
    {
      name: "settle",
      everyMs: 5_000,
      run: async () => void (await issuing.settle(leftBehind(now(), configuration).intents)),
    },
    {
      name: "resume-validations",
      everyMs: 15_000,
      run: async () => void (await validations.resume(leftBehind(now(), configuration).validations)),
    },
    { name: "grants", everyMs: 1_000, run: rereadGrants },
    { name: "issuers", everyMs: 1_000, run: rereadIssuers },
    { name: "rotation", everyMs: 5_000, run: rotateIssuers },
    { name: "certificate-lists", everyMs: 1_000, run: makeLists },
    { name: "ocsp-revoked", everyMs: 1_000, run: () => ocsp.catchUp() },
    { name: "ocsp-responses", everyMs: 5_000, run: () => ocsp.keepUp() },
    { name: "outbox", everyMs: 1_000, run: () => relayOutbox(outbox, [observe]) },
    {
      name: "prune",
      everyMs: 60_000,
      run: () => prune(db, now(), firstIdOf(ago(configuration.acme.orderLifetimeSeconds * 1000 + retentionMs))),
    },
    { name: "renew-listener", everyMs: 3_600_000, run: renewListener },
    { name: "self-test", everyMs: configuration.keys.selfTestIntervalSeconds * 1000, run: testKeys },
  ];
  return startJobs(jobs, (job, error) => log.error({ err: error, job }, "a job failed and will run again"));
}
