/** Runs one target: so many cases, or so long. A case is named by seed and index and can be made again from these two alone. */
import { caseSeed, createRandom } from "./random.ts";
import type { Target, Verdict } from "./target.ts";

export interface Finding {
  readonly target: string;
  readonly seed: number;
  readonly index: number;
  readonly input: Buffer;
  readonly error: unknown;
}

export interface RunOptions {
  readonly seed: number;
  /** Whichever comes first. */
  readonly cases?: number;
  readonly milliseconds?: number;
  /** Ends after so many findings. */
  readonly findingsMax?: number;
  /** Told before each case, so that a watcher knows where one hangs. */
  readonly onCase?: (index: number) => void;
}

export interface RunResult {
  readonly cases: number;
  readonly verdicts: Readonly<Record<Verdict, number>>;
  readonly findings: readonly Finding[];
}

/** The input of a case. */
export const inputOf = (target: Target, seed: number, index: number): Buffer =>
  target.make(createRandom(caseSeed(seed, index)));

export async function runTarget(target: Target, options: RunOptions): Promise<RunResult> {
  const { seed, cases = Number.POSITIVE_INFINITY, milliseconds = Number.POSITIVE_INFINITY, findingsMax = 5 } = options;
  const end = performance.now() + milliseconds;
  const verdicts = { accepted: 0, refused: 0 };
  const findings: Finding[] = [];
  let index = 0;
  for (; index < cases && performance.now() < end && findings.length < findingsMax; index++) {
    options.onCase?.(index);
    const input = inputOf(target, seed, index);
    try {
      const { verdict, tookMs } = await timed(target, input);
      verdicts[verdict]++;
      // A busy machine pauses anything once; what is slow is slow again.
      if (tookMs > target.slowMs && (await timed(target, input)).tookMs > target.slowMs)
        throw new Error(`slow: ${Math.round(tookMs)} ms`);
    } catch (error) {
      findings.push({ target: target.name, seed, index, input, error });
    }
  }
  return { cases: index, verdicts, findings };
}

async function timed(target: Target, input: Buffer): Promise<{ verdict: Verdict; tookMs: number }> {
  const begun = performance.now();
  const checked = target.check(input);
  const verdict = typeof checked === "string" ? checked : await checked; // Most answer at once: a turn of the queue each would be most of it.
  return { verdict, tookMs: performance.now() - begun };
}

/** For people: what, where, with what, and the command that does it again. */
export function described({ target, seed, index, input, error }: Finding): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const readable = /^[\x20-\x7e\n]*$/.test(input.toString("latin1"))
    ? `\n  as text: ${input.toString("latin1").slice(0, 2000)}`
    : "";
  return [
    `${target}: case ${index} of seed ${seed}`,
    `  ${text.replaceAll("\n", "\n  ")}`,
    `  input (base64url): ${input.toString("base64url").slice(0, 8000)}${readable}`,
    `  again: npm run fuzz -- --target ${target} --seed ${seed} --case ${index}`,
  ].join("\n");
}
