/** Files of ceremonies: what `mayfly ceremony` writes down, and what it runs again. */
import { parseDocument, stringify } from "yaml";

import { readCeremony } from "../authority/ceremony/read.ts";
import type { Ceremony } from "../authority/ceremony/steps.ts";

export type { Ceremony, Step } from "../authority/ceremony/steps.ts";

const fileLimit = 262_144;

/**
 * The ceremony of a YAML text.
 * @param file - its name, for messages
 * @throws {Error} with sentences, a line each
 */
export function readCeremonyFile(text: string, file: string): Ceremony {
  if (text.length > fileLimit) throw new Error(`${file} is larger than ${fileLimit} characters`);
  const document = parseDocument(text, { uniqueKeys: true });
  const [error] = document.errors;
  if (error !== undefined) throw new Error(`${file}: ${error.message.split("\n")[0]}`);
  return readCeremony(document.toJS({ maxAliasCount: 100 }), file);
}

/** A ceremony as one writes it into a file. */
export const writeCeremony = (ceremony: Ceremony): string => stringify(ceremony, { lineWidth: 0 });
