/**
 * Changes that a placeholder of a template may ask for. Each is named, and no two texts that it takes become the same segment
 * (`sha256hex`: as far as SHA-256 goes; `lower`: but for the case of letters, which is what it is for). Pure.
 */
import { createHash } from "node:crypto";

export interface ClaimTransform {
  /** The outcome, or undefined for a text that it does not take; there is no empty text. */
  readonly apply: (text: string) => string | undefined;
  /** True for what some text becomes. */
  readonly yields: (outcome: string) => boolean;
  /** Of the texts that it takes, for messages. */
  readonly takes: string;
}

/** What a path segment is made of (SPIFFE-ID §2.2). */
const segmentCharacters = /^[A-Za-z0-9._-]+$/;
const sha256Hex = /^[0-9a-f]{64}$/;
const escapedCharactersMax = 512;

/**
 * Octets of the UTF-8 text; those that are no letter, digit, dot or dash become `_` and two hex digits, the underscore among them.
 * Undefined for what is no Unicode text, for an outcome over 512 characters, and for `.` and `..`.
 */
function escape(text: string): string | undefined {
  // Every lone surrogate becomes the same UTF-8 octets, and so would two different values.
  if (!text.isWellFormed() || text.length > escapedCharactersMax) return undefined;
  const escaped = Buffer.from(text)
    .toString("latin1")
    .replaceAll(/[^A-Za-z0-9.-]/g, (octet) => `_${octet.charCodeAt(0).toString(16).padStart(2, "0")}`);
  return escaped.length > escapedCharactersMax || escaped === "." || escaped === ".." ? undefined : escaped;
}

/** The text that `escaped` made this of, or undefined where it made it of none. */
export function unescape(escaped: string): string | undefined {
  const octets = escaped.replaceAll(/_([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  const text = Buffer.from(octets, "latin1").toString();
  return text !== "" && escape(text) === escaped ? text : undefined;
}

const table = {
  lower: {
    // Before lower-casing: the Kelvin sign, U+212A, would become a plain k.
    apply: (text) => (segmentCharacters.test(text) ? text.toLowerCase() : undefined),
    yields: (outcome) => outcome === outcome.toLowerCase(),
    takes: "characters that a SPIFFE ID has",
  },
  sha256hex: {
    apply: (text) => (text.isWellFormed() ? createHash("sha256").update(text).digest("hex") : undefined),
    yields: (outcome) => sha256Hex.test(outcome),
    takes: "Unicode text",
  },
  escaped: {
    apply: escape,
    yields: (outcome) => unescape(outcome) !== undefined,
    takes: `Unicode text, at most ${escapedCharactersMax} characters when escaped, and neither . nor ..`,
  },
  digest: {
    apply: (text) => {
      const [prefix, hex = "", ...more] = text.split(":", 3);
      return prefix === "sha256" && more.length === 0 && sha256Hex.test(hex) ? hex : undefined;
    },
    yields: (outcome) => sha256Hex.test(outcome),
    takes: "sha256: and 64 lower-case hex digits",
  },
} as const satisfies Readonly<Record<string, ClaimTransform>>;

export type TemplateTransform = keyof typeof table;
export const claimTransforms: Readonly<Record<TemplateTransform, ClaimTransform>> = table;
export const templateTransforms = Object.keys(table) as readonly TemplateTransform[];

/** A claim as it stands, where it is a legal segment or a part of one. */
export const isSegmentText = (text: string): boolean => segmentCharacters.test(text);
