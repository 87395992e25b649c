/**
 * The shape of a requirement. The lists themselves are in `requirements/`, one file per document or family; a test carries the ids it
 * stands for at the start of its name, and `docs/acme-conformance.md` is made from both (table.ts).
 */

/** MUST of the document, SHOULD of it, or our own rule (a MAY that we take, or what the document implies). */
export type Level = "M" | "S" | "o";

export interface Requirement {
  readonly level: Level;
  /** What the server does, in a line of our own. */
  readonly words: string;
  /** Present where the project leaves the requirement out, and then says why. */
  readonly notApplicable?: string;
}

/** One document (or attack class) with its requirements by id. */
export interface RequirementList {
  /** With its number, and the date or version where it is a draft. */
  readonly document: string;
  readonly requirements: Readonly<Record<string, Requirement>>;
}

export const must = (words: string): Requirement => ({ level: "M", words });
export const should = (words: string): Requirement => ({ level: "S", words });
export const own = (words: string): Requirement => ({ level: "o", words });

/** A requirement that the project leaves out. @param reason a clause that reads on after "not applicable:" */
export const notApplicable = (words: string, reason: string): Requirement => ({
  level: "o",
  words,
  notApplicable: reason,
});
