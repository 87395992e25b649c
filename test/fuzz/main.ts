/**
 * `npm run fuzz`: the targets for as long as one likes. Each runs in a worker, so that one that never ends is found as well: the watcher knows
 * which case it was in.
 */
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { described, inputOf, runTarget, type RunResult } from "./run.ts";
import { states } from "../properties/states.ts";
import { targets as parsers } from "./targets.ts";

const targets = [...parsers, states];

const usage = `npm run fuzz -- [options]

  --seconds N    how long each target runs (default 10)
  --cases N      so many cases of each target, however long they take, instead of --seconds
  --seed S       an integer; the same seed makes the same inputs (default: chosen anew and printed)
  --target NAME  this one only; may be given several times
  --case N       this one case of the seed, for one target
  --input TEXT   this input (base64url), for one target
  --help         this text

Targets:
${targets.map(({ name, about }) => `  ${name.padEnd(16)} ${about}`).join("\n")}
`;

/** Without a new case for so long, a target hangs. */
const hangMs = 180_000;
const progressMs = 5_000;

interface Job {
  readonly name: string;
  readonly seed: number;
  /** How much: a time, or a number of cases. */
  readonly extent: { readonly milliseconds: number } | { readonly cases: number };
  /** One number: the index of the case that is running. */
  readonly progress: SharedArrayBuffer;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string", default: "10" },
      cases: { type: "string" },
      seed: { type: "string" },
      target: { type: "string", multiple: true },
      case: { type: "string" },
      input: { type: "string" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) {
    console.log(usage);
    return;
  }
  const seconds = integer("seconds", values.seconds, 1, 86_400);
  const seed = integer("seed", values.seed ?? String(Date.now() % 2 ** 31), 0, 2 ** 32 - 1);
  const chosen = values.target === undefined ? targets : targets.filter(({ name }) => values.target?.includes(name));
  const unknown = values.target?.find((wanted) => !targets.some(({ name }) => name === wanted));
  if (unknown !== undefined) throw new TypeError(`there is no target ${unknown}; --help lists them`);
  if (values.case !== undefined || values.input !== undefined) {
    const [target, ...more] = chosen;
    if (target === undefined || more.length > 0) throw new TypeError("--case and --input go with one --target");
    const input =
      values.input === undefined
        ? inputOf(target, seed, integer("case", values.case ?? "", 0, 2 ** 31))
        : Buffer.from(values.input, "base64url");
    console.log(input.toString("latin1"));
    console.log(await Promise.resolve(target.check(input)));
    await target.close?.();
    return;
  }
  const cases = values.cases === undefined ? undefined : integer("cases", values.cases, 1, 2 ** 31);
  const extent = cases === undefined ? { milliseconds: seconds * 1000 } : { cases };
  console.log(
    `seed ${seed}, ${cases === undefined ? `${seconds} s` : `${cases} cases`} for each of ${chosen.length} targets`,
  );
  let found = 0;
  for (const { name } of chosen) found += await watched({ name, seed, extent });
  console.log(found === 0 ? "nothing found" : `${found} findings`);
  if (found > 0) process.exitCode = 1;
}

function integer(option: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most)) throw new TypeError(`--${option} is an integer from ${least} to ${most}`);
  return value;
}

/** Runs one target in a worker, shows how it goes, and ends one that hangs. @returns the number of findings */
function watched(job: Omit<Job, "progress">): Promise<number> {
  const progress = new SharedArrayBuffer(4);
  const index = new Int32Array(progress);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const worker = new Worker(import.meta.filename, { workerData: { ...job, progress } satisfies Job });
  let [last, lastAt] = [-1, performance.now()];
  const watch = setInterval(() => {
    const current = Atomics.load(index, 0);
    if (current !== last) [last, lastAt] = [current, performance.now()];
    if (performance.now() - lastAt > hangMs) {
      console.error(`${job.name}: case ${current} of seed ${job.seed} does not end`);
      resolve(1);
      return void worker.terminate();
    }
    console.log(`  ${job.name}: ${current} cases`);
  }, progressMs);
  worker.once("message", ({ summary, findings }: { summary: string; findings: readonly string[] }) => {
    console.log(summary);
    for (const finding of findings) console.error(finding);
    resolve(findings.length);
  });
  worker.once("error", reject);
  return promise.finally(() => clearInterval(watch));
}

/** In the worker. */
async function work({ name, seed, extent, progress }: Job): Promise<void> {
  const target = targets.find((one) => one.name === name);
  if (target === undefined) throw new TypeError(`there is no target ${name}`);
  const index = new Int32Array(progress);
  const result = await runTarget(target, {
    seed,
    ...extent,
    onCase: (current) => void Atomics.store(index, 0, current),
  });
  await target.close?.();
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- A port, not a window.
  parentPort?.postMessage({ summary: summaryOf(name, result), findings: result.findings.map(described) });
}

const summaryOf = (name: string, { cases, verdicts, findings }: RunResult): string =>
  `${name}: ${cases} cases, ${verdicts.accepted} accepted, ${verdicts.refused} refused, ${findings.length} findings`;

if (isMainThread) {
  await main().catch((error: unknown) => {
    console.error(error instanceof TypeError ? error.message : error);
    process.exitCode = 2;
  });
} else await work(workerData as Job);
