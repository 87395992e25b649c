/** Files with grants for the database: written as in the configuration, so that one can be moved from here to there. */
import { stringify } from "yaml";

import { readYaml } from "./yaml.ts";

/** A grant with its name; what else it holds is the server's to judge. */
export interface NamedGrant {
  readonly name: string;
  readonly [key: string]: unknown;
}

const fileLimit = 1_048_576;

/**
 * The grants of a YAML or JSON text: one, a list of them, or such a list below `grants`.
 * @param file - its name, for messages
 * @throws {Error} with a sentence
 */
export function readGrantFile(text: string, file: string): readonly NamedGrant[] {
  if (text.length > fileLimit) throw new Error(`${file} is larger than ${fileLimit} characters`);
  const value = readYaml(text, file);
  const grants = isObject(value) && Array.isArray(value["grants"]) ? value["grants"] : [value].flat();
  const names = new Set<string>();
  return grants.map((grant: unknown) => {
    if (!isObject(grant) || typeof grant["name"] !== "string")
      throw new Error(`${file}: expected grants with their names`);
    if (names.has(grant["name"])) throw new Error(`${file}: the grant ${grant["name"]} is there twice`);
    names.add(grant["name"]);
    return grant as NamedGrant;
  });
}

/** As one writes it into a file. */
export const writeGrant = (grant: object): string => stringify(grant, { lineWidth: 0 });

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
