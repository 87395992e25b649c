/** Bending of octets, text and JSON, with a sense for their structure. */
import type { Random } from "./random.ts";

const interestingOctets = [0x00, 0x01, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xff, 0x20, 0x2e, 0x2f, 0x30, 0x0a, 0x0d];

/** One to a few changes: octets flipped, put in, cut out, repeated, or moved. */
export function bendBytes(random: Random, bytes: Buffer, changes = 1 + random.below(3)): Buffer {
  let bent: Buffer = Buffer.from(bytes);
  for (let round = 0; round < changes; round++) bent = bendOnce(random, bent);
  return bent;
}

function bendOnce(random: Random, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1);
  const length = random.below(Math.min(16, bytes.length - at) + 1);
  const [before, piece, after] = [bytes.subarray(0, at), bytes.subarray(at, at + length), bytes.subarray(at + length)];
  switch (random.below(7)) {
    case 0: {
      const flipped = Buffer.from(bytes);
      if (at < flipped.length) flipped[at] = (flipped[at] ?? 0) ^ (1 << random.below(8));
      return flipped;
    }
    case 1:
      return Buffer.concat([before, Buffer.from([random.pick(interestingOctets)]), bytes.subarray(at + 1)]);
    case 2:
      return Buffer.concat([before, random.bytes(1 + random.below(4)), bytes.subarray(at)]);
    case 3:
      return Buffer.concat([before, after]);
    case 4:
      return Buffer.concat([before, piece, piece, after]);
    case 5:
      return Buffer.concat([before, Buffer.from([random.pick(interestingOctets)]), bytes.subarray(at)]);
    default:
      return Buffer.from(before);
  }
}

const oddTexts = [
  "",
  ".",
  "..",
  "/",
  "//",
  "*",
  "*.",
  "%00",
  "%2e",
  "\0",
  "\n",
  "\r\n",
  "\u007f",
  "é",
  "ß",
  "ſ",
  "İ",
  "\u200d",
  "\u2028",
  "\ufeff",
  "xn--",
  "xn--a",
  "xn--ls8h",
  "𝒶",
  "_",
  "-",
  "--",
  ":",
  "@",
  "?",
  "#",
  "[",
  "]",
  "\\",
  " ",
  "\t",
  "=",
  "+",
  "A",
  "z",
  "0",
  "00",
  "255",
  "256",
  "0x7f",
  "::",
  "1e400",
  "-0",
  "9".repeat(30),
  "a".repeat(64),
  "a.".repeat(128),
  "../../etc/passwd",
  "' or 1=1 --",
  "__proto__",
  "constructor",
  "null",
  "{{",
  "${x}",
  "<b>",
] as const;

/** The same for text: characters changed, odd pieces put in, parts repeated, case changed. */
export function bendText(random: Random, text: string, changes = 1 + random.below(2)): string {
  let bent = text;
  for (let round = 0; round < changes; round++) {
    const at = random.below(bent.length + 1);
    const length = random.below(Math.min(8, bent.length - at) + 1);
    const [before, piece, after] = [bent.slice(0, at), bent.slice(at, at + length), bent.slice(at + length)];
    switch (random.below(7)) {
      case 0:
        bent = before + random.pick(oddTexts) + after;
        break;
      case 1:
        bent = before + random.pick(oddTexts) + piece + after;
        break;
      case 2:
        bent = before + piece + piece + after;
        break;
      case 3:
        bent = before + after;
        break;
      case 4:
        bent = before + (piece === piece.toUpperCase() ? piece.toLowerCase() : piece.toUpperCase()) + after;
        break;
      case 5:
        bent =
          before + String.fromCodePoint(random.chance(0.9) ? random.below(0x80) : random.below(0xd800)) + piece + after;
        break;
      default:
        bent = bent
          .split(random.pick([".", "/", ":", ","]))
          .toReversed()
          .join(random.pick([".", "/", ":"]));
    }
  }
  return bent;
}

export type Json = string | number | boolean | null | Json[] | { [member: string]: Json };

const oddValues: readonly Json[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e21,
  2 ** 53,
  "",
  " ",
  "x",
  [],
  {},
  [[]],
  [null],
  { "": "" },
  "\0",
  "\ud800",
  "é",
  "true",
  "0",
  "e30",
  "AA",
];

/** A value with one or two places in it bent: another type, a bent text, a member more, less, or under another name. */
export function bendJson(random: Random, value: Json, changes = 1 + random.below(2)): Json {
  let bent = structuredClone(value);
  for (let round = 0; round < changes; round++) bent = bendPlace(random, bent, 0);
  return bent;
}

function bendPlace(random: Random, value: Json, depth: number): Json {
  const inside = typeof value === "object" && value !== null;
  if (inside && Object.keys(value).length > 0 && depth < 8 && random.chance(0.75)) {
    const key = random.pick(Object.keys(value));
    if (Array.isArray(value)) {
      const index = Number(key);
      const entry = value[index] ?? null;
      if (random.chance(0.15)) return [...value, entry];
      if (random.chance(0.1)) return value.toSpliced(index, 1);
      return value.with(index, bendPlace(random, entry, depth + 1));
    }
    const entry = value[key] ?? null;
    const { [key]: _taken, ...rest } = value;
    if (random.chance(0.1)) return rest;
    if (random.chance(0.05)) return { ...rest, [bendText(random, key)]: entry };
    return { ...value, [key]: bendPlace(random, entry, depth + 1) };
  }
  if (typeof value === "string" && random.chance(0.75)) return bendText(random, value);
  if (typeof value === "number" && random.chance(0.5)) return random.pick([-value, value + 1, value * 1e9, value / 3]);
  if (inside && !Array.isArray(value) && random.chance(0.5))
    return { ...value, [random.pick(["x", "__proto__x", "status", "type", "alg", ""])]: random.pick(oddValues) };
  if (random.chance(0.05)) return nested(value, 1 + random.below(40));
  return random.pick(oddValues);
}

const nested = (value: Json, depth: number): Json =>
  depth === 0 ? value : depth % 2 === 0 ? [nested(value, depth - 1)] : { x: nested(value, depth - 1) };

/** JSON text of the value, now and then in a dialect: white space, escapes, a member twice, something before or behind. */
export function jsonText(random: Random, value: Json): string {
  const text = JSON.stringify(value, undefined, random.chance(0.1) ? 1 : undefined);
  if (random.chance(0.7)) return text;
  switch (random.below(6)) {
    case 0: // A member twice, under the same name or an escaped one.
      return text.replace(/"(\w)(\w*)":/, (found, first: string, rest: string) => {
        const escaped = `\\u${first.charCodeAt(0).toString(16).padStart(4, "0")}`;
        return `${found}1,"${random.chance(0.5) ? escaped : first}${rest}":`;
      });
    case 1:
      return `${random.pick(["\ufeff", " ", "\n", "\u00a0", "//x\n", "["])}${text}`;
    case 2:
      return `${text}${random.pick([" ", "\n", "\0", "{}", ",", "]"])}`;
    case 3:
      return text.replace(/:(\d+)/, (_, digits: string) => `:${random.pick(["0", "+", "-", "."])}${digits}`);
    case 4:
      return text.replaceAll(",", random.pick([" , ", ",\n", ",,", ", "]));
    default:
      return bendText(random, text);
  }
}

/** base64url of the octets, now and then not in the one form it has. */
export function base64urlText(random: Random, octets: Buffer | string): string {
  const text = Buffer.from(octets).toString("base64url");
  if (random.chance(0.85)) return text;
  return random.pick([
    `${text}=`,
    `${text}==`,
    Buffer.from(octets).toString("base64"),
    ` ${text}`,
    `${text}\n`,
    `${text}A`,
    text.slice(0, -1),
    bendText(random, text),
  ]);
}
