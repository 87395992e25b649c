/**
 * A reporter for `node --test`: one JSON line for each test whose name carries requirement ids. It runs beside the reporter that people
 * read (`--test-reporter` may be given several times), so that the table comes from the very run that passed or failed.
 */
import path from "node:path";
import type { TestEvent } from "node:test/reporters";
import { readTestName } from "./testIds.ts";

export type Outcome = "passed" | "failed" | "skipped";

/** One run of one test. */
export interface RecordedTest {
  /** Below the repository, with slashes. */
  readonly file: string;
  readonly name: string;
  readonly outcome: Outcome;
}

/** What the runner says of a test that ended; the same for assertions, which have no type. */
interface Ended {
  readonly name: string;
  readonly nesting: number;
  readonly file?: string;
  /** The test file, where `file` is a support file in which the test was declared. */
  readonly entryFile?: string;
  readonly skip?: boolean | string;
  readonly todo?: boolean | string;
  readonly details?: { readonly type?: string };
}

const root = path.join(import.meta.dirname, "..", "..");

export default async function* recorder(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const record = createRecording();
  for await (const event of events) {
    if (event.type !== "test:pass" && event.type !== "test:fail") continue;
    const recorded = record(event.data, event.type === "test:pass");
    if (recorded !== undefined) yield `${JSON.stringify(recorded)}\n`;
  }
}

/** Takes what ended, in the order of the runner: what is nested before what contains it. */
export function createRecording(): (ended: Ended, passed: boolean) => RecordedTest | undefined {
  // Test file → nesting → whether something there was skipped since the last test one level up ended.
  const skipped = new Map<string, Map<number, boolean>>();
  return (ended, passed) => {
    const left = isGiven(ended.skip) || isGiven(ended.todo);
    // An assertion is no test, whatever its message begins with; an empty or skipped test has no type either.
    if (ended.details?.type === undefined && !left) return undefined;
    const file = path
      .relative(root, ended.entryFile ?? ended.file ?? "")
      .split(path.sep)
      .join("/");
    const levels = skipped.get(file) ?? new Map<number, boolean>();
    skipped.set(file, levels);
    const outcome = !passed ? "failed" : left || levels.get(ended.nesting + 1) === true ? "skipped" : "passed";
    levels.delete(ended.nesting + 1);
    if (outcome === "skipped") levels.set(ended.nesting, true);
    return readTestName(ended.name).ids.length === 0 ? undefined : { file, name: ended.name, outcome };
  };
}

const isGiven = (value: boolean | string | undefined): boolean => value !== undefined && value !== false;
