/** Revocations by operators as the composition opens them: the store, whoever carries them out, and what this process shows of them. */
import { hostname } from "node:os";

import type { RevocationRoutesOptions } from "./administration/revocations.ts";
import { createCarryingOut, type CarryingOut } from "./authority/revocation/carryOut.ts";
import type { StandingLists } from "./authority/revocation/standingLists.ts";
import type { Configuration } from "./config/load.ts";
import type { Foundation } from "./foundation.ts";
import { startJobs } from "./jobs/jobs.ts";
import { createRevocationActionStore } from "./store/revocationActions.ts";
import { createRevocationProgress } from "./store/revocationProgress.ts";
import { createServerProcesses } from "./store/serverProcesses.ts";
import type { Siblings } from "./store/siblings.ts";

export interface RevocationActions extends Pick<RevocationRoutesOptions, "store" | "carryOut"> {
  /** Starts no further step and waits for those under way. */
  stop(): Promise<void>;
}

export function openRevocationActions(
  { database }: Pick<Configuration, "database">,
  { db, log }: Pick<Foundation, "db" | "log">,
  { siblings, lists }: { readonly siblings: Siblings; readonly lists: StandingLists },
  now: () => Date,
): RevocationActions {
  const carryingOut: CarryingOut = createCarryingOut({
    progress: createRevocationProgress(db),
    statementTimeoutMs: database.statementTimeoutMs,
    now,
    onFailure: (action, error) =>
      log.error({ err: error, action }, "a revocation is unfinished and will be taken up again"),
  });
  const processes = createServerProcesses(db, siblings.instance.toString("hex"), `${hostname()}:${process.pid}`);
  let published: { readonly actions: readonly string[]; readonly at: number } = { actions: [], at: 0 };

  /** What was published before this process looked for lists is what it shows. */
  async function beat(): Promise<void> {
    await lists.all();
    const actions = await processes.beat(lists.knownAt() > published.at ? published.actions : []);
    published = { actions, at: performance.now() };
  }

  const jobs = startJobs(
    [
      { name: "revocations", everyMs: 1_000, run: () => carryingOut.resume() },
      { name: "presence", everyMs: 1_000, run: beat },
    ],
    (job, error) => log.error({ err: error, job }, "a job failed and will run again"),
  );
  return {
    store: createRevocationActionStore(db),
    carryOut: (action) => carryingOut.begin(action),
    async stop() {
      await Promise.all([carryingOut.stop(), jobs.stop()]);
      // Where the database is away, it will be seen there that nothing is heard of this process any more.
      await processes
        .leave()
        .catch((error: unknown) => log.warn({ err: error }, "the database was not told of this end"));
    },
  };
}
