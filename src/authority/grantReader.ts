/** Reads a grant that somebody wrote outside of the configuration file: shape, sense, and what a database can hold. Pure. */
import { Value } from "typebox/value";

import { grantSchema, parseGrant, type Grant, type GrantConfiguration, type GrantSurroundings } from "./grants.ts";

/** What is wrong with one key of a grant. */
export interface GrantFault {
  /** As it is written: `conditions[0].claim`; empty for the whole. */
  readonly key: string;
  /** A sentence with key, value and what was expected. */
  readonly detail: string;
}

/** The text is no grant here. `message` is all faults, one in a line. */
export class GrantRefused extends Error {
  override readonly name = "GrantRefused";
  readonly faults: readonly GrantFault[];
  constructor(faults: readonly GrantFault[]) {
    super(faults.map(({ detail }) => detail).join("\n"));
    this.faults = faults;
  }
}

const faultsMax = 20;

/**
 * Reads the grant of this name for the database.
 * @param written - the grant; its own `name` may be left out
 * @throws {GrantRefused}
 */
export function readGrant(name: string, written: object, surroundings: GrantSurroundings): Grant {
  const configuration = { ...written, name } as GrantConfiguration;
  const own = (written as { name?: unknown }).name;
  if (own !== undefined && own !== name) throw refusal(name, "name", own, `expected ${name}, or nothing`);
  const faults = [...Value.Errors(grantSchema, configuration)].flatMap((error) =>
    schemaFaults(name, configuration, error),
  );
  if (faults.length > 0) throw new GrantRefused(distinct(faults).slice(0, faultsMax));
  // JSON in Postgres holds neither NUL nor lone surrogates; JSON.stringify writes both as escapes.
  if (/\\u(?:0000|d[89a-f])/.test(JSON.stringify(configuration)))
    throw new GrantRefused([{ key: "", detail: `grants.${name}: expected texts without NUL and lone surrogates` }]);
  try {
    return parseGrant(configuration, surroundings, "database");
  } catch (error) {
    const detail = (error as Error).message;
    const [, key = ""] = /^grants\.[^.]+\.(.+?): /s.exec(detail) ?? [];
    throw new GrantRefused([{ key, detail }]);
  }
}

function refusal(name: string, key: string, value: unknown, expected: string): GrantRefused {
  return new GrantRefused([{ key, detail: `grants.${name}.${key}: ${shown(value)}: ${expected}` }]);
}

interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: object;
  readonly message: string;
}

function schemaFaults(
  name: string,
  tree: unknown,
  { keyword, instancePath, params, message }: SchemaError,
): GrantFault[] {
  const facts = params as { additionalProperties?: string[]; requiredProperties?: string[]; allowedValues?: unknown[] };
  const at = keyOf(instancePath);
  const below = (key: string): string => (at === "" ? key : `${at}.${key}`);
  const fault = (key: string, text: string): GrantFault => ({ key, detail: `grants.${name}.${key}: ${text}` });
  switch (keyword) {
    case "additionalProperties":
      return (facts.additionalProperties ?? []).map((key) => fault(below(key.slice(0, 100)), "unknown key"));
    case "required":
      return (facts.requiredProperties ?? []).map((key) => fault(below(key), "is missing"));
    case "boolean": // Another error names the same key.
      return [];
    default: {
      const expected =
        keyword === "enum"
          ? `one of ${(facts.allowedValues ?? []).join(", ")}`
          : message.replace(/^must (be |have |match )?/, "");
      return [fault(at, `${shown(valueAt(tree, instancePath))}: expected ${expected}`)];
    }
  }
}

/** `/conditions/0/claim` as people write it. */
function keyOf(pointer: string): string {
  return pointer
    .slice(1)
    .split("/")
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce((key, step) => (/^\d+$/.test(step) ? `${key}[${step}]` : key === "" ? step : `${key}.${step}`), "");
}

function valueAt(tree: unknown, pointer: string): unknown {
  let value = tree;
  for (const step of pointer.split("/").slice(1))
    value = (value as Record<string, unknown> | undefined)?.[step.replaceAll("~1", "/").replaceAll("~0", "~")];
  return value;
}

const shown = (value: unknown): string => (JSON.stringify(value) ?? "nothing").slice(0, 100);

const distinct = (faults: readonly GrantFault[]): GrantFault[] => [
  ...new Map(faults.map((fault) => [fault.detail, fault])).values(),
];
