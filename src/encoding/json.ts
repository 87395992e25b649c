/**
 * Strict JSON for what clients send: UTF-8 without a byte order mark, one object, no member named twice at any level, bounded depth.
 * `JSON.parse` keeps the last of two equal members silently, which lets a signature cover what a reader never saw (H-04c, H-22).
 */

export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;
export type JsonObject = { [member: string]: JsonValue };

/** What is wrong with the text; a sentence fit for the client. */
export class JsonRefused extends Error {
  override readonly name = "JsonRefused";
}

const depthLimit = 32;
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Parses one JSON object. `__proto__` is a member like any other: `JSON.parse` makes it an own property and pollutes nothing.
 * @throws {JsonRefused}
 */
export function parseJsonObject(octets: Uint8Array, what: string): JsonObject {
  let text: string;
  let value: JsonValue;
  try {
    text = strictUtf8.decode(octets);
    value = JSON.parse(text) as JsonValue;
  } catch {
    throw new JsonRefused(`${what} is not JSON`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new JsonRefused(`${what} is not a JSON object`);
  refuseDuplicates(text, what);
  return value;
}

/** Walks text that is known to be JSON: only strings and brackets matter then. */
function refuseDuplicates(text: string, what: string): void {
  const open: (Set<string> | undefined)[] = []; // One set of member names per open object; undefined for an array.
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "{" || character === "[") {
      if (open.length === depthLimit) throw new JsonRefused(`${what} is nested deeper than ${depthLimit} levels`);
      open.push(character === "{" ? new Set() : undefined);
    } else if (character === "}" || character === "]") {
      open.pop();
    } else if (character === '"') {
      const end = endOfString(text, at);
      const names = open.at(-1);
      if (names !== undefined && isMemberName(text, end)) {
        const raw = text.slice(at, end + 1);
        const name = raw.includes("\\") ? (JSON.parse(raw) as string) : raw.slice(1, -1);
        if (names.has(name)) throw new JsonRefused(`${what} names a member twice`);
        names.add(name);
      }
      at = end;
    }
  }
}

function endOfString(text: string, start: number): number {
  let end = start + 1;
  while (text[end] !== '"') end += text[end] === "\\" ? 2 : 1;
  return end;
}

function isMemberName(text: string, end: number): boolean {
  let next = end + 1;
  while (/\s/.test(text[next] ?? "")) next++;
  return text[next] === ":";
}
