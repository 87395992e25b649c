/** The Accept header (RFC 9110 §12.5.1): which of the types that there are a client would rather have. Pure. */

/** Characters of a header that are looked at. */
const headerMax = 1000;

interface Range {
  readonly type: string;
  /** Without q. */
  readonly parameters: readonly string[];
  readonly quality: number;
}

/**
 * The type with the highest quality; of several, the one that was named more exactly, then earlier. The parameters of a range count
 * where the type has some itself.
 * @param available media types in lower case, the server's favourite first
 * @returns undefined when the client takes none of them; the favourite when it says nothing
 */
export function preferredType<T extends string>(header: string | undefined, available: readonly T[]): T | undefined {
  if (header === undefined || header.trim() === "") return available[0];
  const ranges = header.slice(0, headerMax).toLowerCase().split(",").map(readRange);
  let best: { type: T; quality: number; exactness: number; index: number } | undefined;
  for (const type of available) {
    const match = bestMatch(type, ranges);
    if (match === undefined || match.quality === 0) continue;
    const { quality, exactness, index } = match;
    const order = best === undefined ? 1 : quality - best.quality || exactness - best.exactness || best.index - index;
    if (order > 0) best = { type, ...match };
  }
  return best?.type;
}

/** The most exact range that has the type decides about it. */
function bestMatch(
  type: string,
  ranges: readonly Range[],
): { quality: number; exactness: number; index: number } | undefined {
  let best: { quality: number; exactness: number; index: number } | undefined;
  for (const [index, range] of ranges.entries()) {
    const exactness = exactnessOf(type, range);
    if (exactness > (best?.exactness ?? 0)) best = { quality: range.quality, exactness, index };
  }
  return best;
}

/** 0 where the range has not the type, 1 for anything, up to 4 for the type with its parameters. */
function exactnessOf(type: string, range: Range): number {
  const [name = "", ...parameters] = type.split(";");
  if (range.type === name) {
    if (parameters.length === 0 || range.parameters.length === 0) return 3;
    return range.parameters.every((parameter) => parameters.includes(parameter)) ? 4 : 0;
  }
  if (range.type === `${name.split("/")[0]}/*`) return 2;
  return range.type === "*/*" || range.type === "*" ? 1 : 0;
}

function readRange(text: string): Range {
  const [type = "", ...rest] = text.trim().split(/\s*;\s*/);
  const q = rest.find((parameter) => parameter.startsWith("q="))?.slice(2);
  const parameters = rest.filter((parameter) => !parameter.startsWith("q=") && parameter !== "");
  return { type, quality: qualityOf(q), parameters: parameters.map((parameter) => parameter.replaceAll('"', "")) };
}

/** What is no number is nothing that the client wants. */
function qualityOf(text: string | undefined): number {
  if (text === undefined) return 1;
  return /^(0(\.\d*)?|\.\d+|1(\.0*)?)$/.test(text) ? Number(text) : 0;
}
