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
    const begun = performance.now();
    try {
      const verdict = target.check(input);
      verdicts[typeof verdict === "string" ? verdict : await verdict]++;
      const tookMs = performance.now() - begun;
      if (tookMs > target.slowMs) throw new Error(`slow: ${Math.round(tookMs)} ms`);
    } catch (error) {
      findings.push({ target: target.name, seed, index, input, error });
    }
  }
  return { cases: index, verdicts, findings };
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
