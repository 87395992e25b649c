/** The periodic work of a running server, as one list. */
import type { Logger } from "pino";

import type { ValidationRunner } from "./acme/challenges/runner.ts";
import { firstIdOf } from "./acme/id.ts";
import type { Issuing } from "./authority/issue.ts";
import { relayOutbox, type OutboxEvent } from "./events/outbox.ts";
import type { Metrics } from "./http/metrics.ts";
import { startJobs, type RunningJobs } from "./jobs/jobs.ts";
import type { Database } from "./store/database.ts";
import { createOutboxStore, prune } from "./store/maintenance.ts";

/** An intent older than this is not under way any more; the slowest signature and statement end well before. */
const intentAgeMs = 20_000;
/** A validation older than this has no process behind it: attempts, pauses and retries take less. */
const validationAgeMs = 120_000;
/** ACME objects are kept this long after their order could last have been open. */
const retentionMs = 7 * 86_400_000;

export interface WorkParts {
  readonly db: Database;
  readonly issuing: Issuing;
  readonly validations: ValidationRunner;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly now: () => Date;
  readonly orderLifetimeSeconds: number;
}

export function startWork({
  db,
  issuing,
  validations,
  metrics,
  log,
  now,
  orderLifetimeSeconds,
}: WorkParts): RunningJobs {
  const ago = (milliseconds: number): Date => new Date(now().getTime() - milliseconds);
  const outbox = createOutboxStore(db);

  function observe({ topic, payload }: OutboxEvent): void {
    if (topic === "certificate.issued") metrics.certificateIssued(String(payload["profile"]), String(payload["door"]));
    log.info({ topic, ...payload }, "event");
  }

  const jobs = [
    { name: "settle", everyMs: 10_000, run: async () => void (await issuing.settle(ago(intentAgeMs))) },
    {
      name: "resume-validations",
      everyMs: 15_000,
      run: async () => void (await validations.resume(ago(validationAgeMs))),
    },
    { name: "outbox", everyMs: 1_000, run: () => relayOutbox(outbox, [observe]) },
    {
      name: "prune",
      everyMs: 60_000,
      run: () => prune(db, now(), firstIdOf(ago(orderLifetimeSeconds * 1000 + retentionMs))),
    },
  ];
  return startJobs(jobs, (job, error) => log.error({ err: error, job }, "a job failed and will run again"));
}
