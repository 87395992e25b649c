import { setTimeout as pause } from "node:timers/promises";
import t from "tap";
import { startJobs } from "../../src/jobs/jobs.ts";

t.test("a job runs again and again, after its interval, one round at a time", async (t) => {
  let under = 0;
  let most = 0;
  let rounds = 0;
  const third = Promise.withResolvers<void>();
  const run = async (): Promise<void> => {
    most = Math.max(most, ++under);
    await pause(15); // Longer than the interval.
    under--;
    if (++rounds === 3) third.resolve();
  };
  const jobs = startJobs([{ name: "slow", everyMs: 5, run }], (_, error) => t.fail(String(error)));
  t.equal(rounds, 0);
  const alive = setInterval(() => undefined, 1000); // The jobs' own timers hold no process.
  await third.promise;
  clearInterval(alive);
  await jobs.stop();
  t.equal(most, 1);
});

t.test("a job that fails is reported by name and goes on; the others do not notice", async (t) => {
  const errors: string[] = [];
  const done = Promise.withResolvers<void>();
  let others = 0;
  const bad = {
    name: "bad",
    everyMs: 2,
    run: () => Promise.reject(new Error(`round ${errors.length + 1}`)),
  };
  const good = { name: "good", everyMs: 2, run: async () => void others++ };
  const jobs = startJobs([bad, good], (job, error) => {
    errors.push(`${job}: ${error instanceof Error ? error.message : "?"}`);
    if (errors.length === 3) done.resolve();
  });
  const alive = setInterval(() => undefined, 1000);
  await done.promise;
  clearInterval(alive);
  await jobs.stop();
  t.same(errors.slice(0, 3), ["bad: round 1", "bad: round 2", "bad: round 3"]);
  t.ok(others > 0);
});

t.test("a job that throws before it returns a promise is reported like one that rejects", async (t) => {
  const reported = Promise.withResolvers<unknown>();
  const run = (): Promise<void> => {
    throw new Error("at once");
  };
  const jobs = startJobs([{ name: "throws", everyMs: 2, run }], (_, error) => reported.resolve(error));
  const alive = setInterval(() => undefined, 1000);
  t.match(await reported.promise, { message: "at once" });
  clearInterval(alive);
  await jobs.stop();
});

t.test("stop waits for what is under way and starts nothing more", async (t) => {
  let begun = 0;
  let ended = 0;
  const started = Promise.withResolvers<void>();
  const run = async (): Promise<void> => {
    begun++;
    started.resolve();
    await pause(30);
    ended++;
  };
  const jobs = startJobs([{ name: "slow", everyMs: 1, run }], () => undefined);
  const alive = setInterval(() => undefined, 1000);
  await started.promise;
  clearInterval(alive);
  await jobs.stop();
  t.same([begun, ended], [1, 1]);
  await pause(20);
  t.equal(begun, 1);
});
