/** Periodic work: each job runs once at a time, its failures are reported and do not stop the next round. */

export interface Job {
  readonly name: string;
  readonly everyMs: number;
  readonly run: () => Promise<void>;
}

export interface RunningJobs {
  /** Starts no further round and waits for those under way. */
  stop(): Promise<void>;
}

/** A job that throws before there is a promise must not end the process: it fails like any other. */
const runOnce = async (job: Job): Promise<void> => job.run();

/** Starts all jobs; each first runs after its own interval. */
export function startJobs(jobs: readonly Job[], onError: (job: string, error: unknown) => void): RunningJobs {
  let stopped = false;
  const timers = new Map<string, NodeJS.Timeout>();
  const underWay = new Set<Promise<void>>();

  function schedule(job: Job): void {
    if (stopped) return;
    const timer = setTimeout(() => {
      const round = runOnce(job)
        .catch((error: unknown) => onError(job.name, error))
        .finally(() => {
          underWay.delete(round);
          schedule(job);
        });
      underWay.add(round);
    }, job.everyMs);
    timer.unref();
    timers.set(job.name, timer);
  }

  for (const job of jobs) schedule(job);
  return {
    async stop() {
      stopped = true;
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.allSettled(underWay);
    },
  };
}
