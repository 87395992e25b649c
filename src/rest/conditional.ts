/** Conditional requests (RFC 9110 §13): which version of a resource a change is meant for. */
import { problem } from "../problem/problem.ts";

/** The value of `ETag` for this version. */
export const entityTag = (version: string): string => `"${version}"`;

const tagsMax = 16;

/**
 * The versions that `If-Match` names, `*` for any; undefined without the header.
 * @throws {Problem} restInvalid for what is no list of strong entity tags
 */
export function readIfMatch(header: string | undefined): readonly string[] | undefined {
  if (header === undefined) return undefined;
  if (header.trim() === "*") return ["*"];
  const tags = header.split(",").map((tag) => /^\s*"([\x21\x23-\x7e]{1,100})"\s*$/.exec(tag)?.[1]);
  if (tags.length > tagsMax || !tags.every((tag) => tag !== undefined))
    throw problem("restInvalid", 'If-Match is not * or a list of ETags such as "95455b789e936ec6"');
  return tags;
}

/**
 * True where `If-None-Match: *` asks that there is nothing yet.
 * @throws {Problem} restInvalid for any other value
 */
export function readIfNoneMatch(header: string | undefined): boolean {
  if (header === undefined) return false;
  if (header.trim() === "*") return true;
  throw problem("restInvalid", "If-None-Match can only be * here");
}
