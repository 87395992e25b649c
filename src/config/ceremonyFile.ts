/** Files of ceremonies: what `mayfly ceremony` writes down, and what it runs again. */
import { stringify } from "yaml";

import { readCeremony } from "../authority/ceremony/read.ts";
import type { Ceremony } from "../authority/ceremony/steps.ts";
import { readYaml } from "./yaml.ts";

export type { Ceremony, Step } from "../authority/ceremony/steps.ts";

const fileLimit = 262_144;

/**
 * The ceremony of a YAML text.
 * @param file - its name, for messages
 * @throws {Error} with sentences, a line each
 */
export function readCeremonyFile(text: string, file: string): Ceremony {
  if (text.length > fileLimit) throw new Error(`${file} is larger than ${fileLimit} characters`);
  return readCeremony(readYaml(text, file), file);
}

/** A ceremony as one writes it into a file. */
export const writeCeremony = (ceremony: Ceremony): string => stringify(ceremony, { lineWidth: 0 });
