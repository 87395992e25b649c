/** Requirement ids in the names of tests: one or several, at the start. */

const id = /R(?!SA-)[0-9A-Z.]+-\d+[a-z]?|H-\d+[a-z]?/;
const leading = new RegExp(String.raw`^(?:${id.source})(?=[\s,:;]|$)[\s,:;]*`);

export interface NamedTest {
  readonly ids: readonly string[];
  /** The name without them. */
  readonly words: string;
}

/** `"R7.4-4 R7.4-9 finalize …"` → both ids and the rest. */
export function readTestName(name: string): NamedTest {
  const ids: string[] = [];
  let words = name.trim();
  for (let found = leading.exec(words); found !== null; found = leading.exec(words)) {
    ids.push(found[0].replace(/[\s,:;]+$/, ""));
    words = words.slice(found[0].length);
  }
  return { ids, words };
}

/** True for the source of a test file in which a text begins with an id: it may have tests for the table. */
export const mayCarryIds = (source: string): boolean =>
  new RegExp(String.raw`["'\`](?:${id.source})[\s,:;"]`).test(source);
