/**
 * Strict JSON for what clients send: UTF-8 without a byte order mark, one object, no member named twice at any level, bounded in depth and in
 * the number of its values.
 * `JSON.parse` keeps the last of two equal members silently, which lets a signature cover what a reader never saw (H-04c, H-22).
 */

export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;
export type JsonObject = { [member: string]: JsonValue };

/** True for an object, as opposed to an array, null, a scalar or nothing. */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What is wrong with the text; a sentence fit for the client. */
export class JsonRefused extends Error {
  override readonly name = "JsonRefused";
}

const depthLimit = 32;
/** Members, items and texts, roughly: each costs far more time than its octets. The largest evidence has a tenth of it. */
const crowdLimit = 65_536;
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Parses one JSON object. `__proto__` is a member like any other: `JSON.parse` makes it an own property and pollutes nothing.
 * @param crowdMax how many quotes, commas and opening brackets there may be; more than any client needs unless said
 * @throws {JsonRefused}
 */
export function parseJsonObject(octets: Uint8Array, what: string, crowdMax = crowdLimit): JsonObject {
  if (isCrowded(octets, crowdMax)) throw new JsonRefused(`${what} has too many members, items and texts`);
  let text: string;
  let value: JsonValue;
  try {
    text = strictUtf8.decode(octets);
    value = JSON.parse(text) as JsonValue;
  } catch {
    throw new JsonRefused(`${what} is not JSON`);
  }
  if (!isJsonObject(value)) throw new JsonRefused(`${what} is not a JSON object`);
  refuseDuplicates(text, what);
  return value;
}

/** Before anything is made of it. In UTF-8 these octets are never part of another character. */
function isCrowded(octets: Uint8Array, most: number): boolean {
  if (octets.length <= most) return false;
  let found = 0;
  for (let at = 0; at < octets.length; at++) {
    const octet = octets[at];
    if (octet === 0x22 || octet === 0x2c || octet === 0x5b || octet === 0x7b) found++;
  }
  return found > most;
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
  // JSON knows no other white space (RFC 8259 §2), and a pattern would take four times as long.
  for (let code = text.charCodeAt(next); code === 0x20 || (code >= 0x09 && code <= 0x0d);)
    code = text.charCodeAt(++next);
  return text[next] === ":";
}
