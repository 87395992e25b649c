/** Closed-loop load: as many issuances under way as there are clients, each with a latency per step. */
import type { ObservedExchange, Step } from "../src/client/session.ts";
import type { Flow } from "./flows.ts";

export interface Plan {
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly clients: number;
}

export interface StepFigures {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
}

export interface Measured {
  readonly issued: number;
  readonly failures: number;
  readonly seconds: number;
  readonly rate: number;
  /** Milliseconds, by step and for the whole. */
  readonly steps: Readonly<Record<string, StepFigures>>;
}

/** Runs the flow; `onStart` is called when warm-up is over and counting begins. */
export async function drive(
  plan: Plan,
  make: (observe: (exchange: ObservedExchange) => void) => Flow,
  onStart: () => void = () => undefined,
): Promise<Measured> {
  const latencies = new Map<Step | "whole issuance", number[]>();
  const note = (step: Step | "whole issuance", milliseconds: number): void => {
    const known = latencies.get(step);
    if (known === undefined) latencies.set(step, [milliseconds]);
    else known.push(milliseconds);
  };
  let counting = false;
  const end = new AbortController();
  let issued = 0;
  let failures = 0;
  let number = 0;
  const flow = make(({ step, milliseconds }) => {
    if (counting) note(step, milliseconds);
  });

  async function client(): Promise<void> {
    while (!end.signal.aborted) {
      const start = performance.now();
      try {
        const pem = await flow(number++);
        if (!pem.startsWith("-----BEGIN CERTIFICATE-----")) throw new Error("that is no certificate");
        if (!counting || end.signal.aborted) continue;
        issued++;
        note("whole issuance", performance.now() - start);
      } catch (error) {
        failures++;
        if (failures <= 3) process.stderr.write(`failed: ${(error as Error).message}\n`);
        if (failures > 100) throw new Error("more than 100 issuances failed", { cause: error });
      }
    }
  }

  const pause = (seconds: number): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, seconds * 1000);
    return promise;
  };
  const clients = Promise.all(Array.from({ length: plan.clients }, client));
  await Promise.race([pause(plan.warmUpSeconds), clients]);
  counting = true;
  onStart();
  const start = performance.now();
  await Promise.race([pause(plan.seconds), clients]);
  end.abort();
  const seconds = (performance.now() - start) / 1000;
  await clients;
  const steps = Object.fromEntries([...latencies].map(([step, values]) => [step, stepFigures(values)]));
  return { issued, failures, seconds, rate: issued / seconds, steps };
}

function stepFigures(values: number[]): StepFigures {
  const sorted = values.sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99) };
}

/** For people: figures, then latencies. */
export function table(figures: Record<string, number | string>, steps: Measured["steps"]): string {
  const shown = (value: number | string): string =>
    typeof value === "number" ? (Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2)) : value;
  const width = Math.max(...Object.keys(figures).map((name) => name.length));
  const lines = Object.entries(figures).map(([name, value]) => `${name.padEnd(width)}  ${shown(value)}`);
  lines.push("", `${"step".padEnd(16)}${"requests".padStart(10)}${"p50 ms".padStart(10)}${"p99 ms".padStart(10)}`);
  for (const [step, { count, p50, p99 }] of Object.entries(steps)) {
    lines.push(
      `${step.padEnd(16)}${String(count).padStart(10)}${p50.toFixed(1).padStart(10)}${p99.toFixed(1).padStart(10)}`,
    );
  }
  return `${lines.join("\n")}\n`;
}
