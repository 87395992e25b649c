/** Reads a ceremony that somebody wrote: shape and sense, each fault with its key, value and what was expected. Pure. */
import { Value } from "typebox/value";

import { ceremonySchema, stepSchemas, type Ceremony, type StepName } from "./steps.ts";

/** What is read is no ceremony. `message` is all faults, one in a line. */
export class CeremonyRefused extends Error {
  override readonly name = "CeremonyRefused";
}

const faultsMax = 20;

/**
 * @param file - its name, for messages
 * @throws {CeremonyRefused}
 */
export function readCeremony(written: unknown, file: string): Ceremony {
  const faults = faultsOf(ceremonySchema, written, "");
  if (faults.length === 0) {
    const { steps } = written as { steps: { step: StepName }[] };
    for (const [index, step] of steps.entries())
      faults.push(...faultsOf(stepSchemas[step.step], step, `steps[${index}]`));
  }
  if (faults.length > 0)
    throw new CeremonyRefused(
      [...new Set(faults)]
        .slice(0, faultsMax)
        .map((fault) => `${file}: ${fault}`)
        .join("\n"),
    );
  const { name, operators = [], steps } = written as Omit<Ceremony, "operators"> & { operators?: string[] };
  return { name, operators, steps };
}

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

function faultsOf(
  schema: (typeof stepSchemas)[StepName] | typeof ceremonySchema,
  value: unknown,
  at: string,
): string[] {
  const errors: readonly SchemaError[] = [...Value.Errors(schema, value)];
  return errors.flatMap((error) => faultLines(error, value, at));
}

function faultLines({ keyword, instancePath, params, message }: SchemaError, value: unknown, at: string): string[] {
  const steps = instancePath.split("/").slice(1);
  const key = keyText(at, steps);
  const facts = params as { additionalProperties?: string[]; requiredProperties?: string[]; allowedValues?: unknown[] };
  if (keyword === "boolean") return []; // Another error names the same key.
  if (keyword === "additionalProperties")
    return (facts.additionalProperties ?? []).map((one) => `${keyText(at, [...steps, one])}: unknown key`);
  if (keyword === "required")
    return (facts.requiredProperties ?? []).map((one) => `${keyText(at, [...steps, one])}: is missing`);
  const found = steps.reduce<unknown>((inner, step) => (inner as Record<string, unknown> | undefined)?.[step], value);
  const expected =
    keyword === "enum"
      ? `one of ${(facts.allowedValues ?? []).join(", ")}`
      : message.replace(/^must (be |have |match )?/, "");
  return [`${key === "" ? "" : `${key}: `}${(JSON.stringify(found) ?? "nothing").slice(0, 100)}: expected ${expected}`];
}

const keyText = (at: string, steps: readonly string[]): string =>
  steps.reduce((text, step) => (/^\d+$/.test(step) ? `${text}[${step}]` : text === "" ? step : `${text}.${step}`), at);
