/** Pages of a list: how many entries a request asks for, and where the next page goes on. */
import { Type } from "typebox";

import { problem } from "../problem/problem.ts";

const entriesMax = 1000;
const entriesDefault = 100;

/** The query parameter `limit`. */
export const pageLimit = Type.Optional(
  Type.String({
    pattern: "^[1-9][0-9]{0,3}$",
    description: `a whole number from 1 to ${entriesMax}`,
  }),
);

export interface Page<Entry> {
  readonly entries: readonly Entry[];
  /** The cursor of the next page; undefined when this is the last one. */
  readonly next: string | undefined;
}

/**
 * One page.
 * @param asked the request's `limit`
 * @param find the entries from the page's beginning, at most so many
 * @param cursorBehind the cursor that goes on after the last entry of a page of this size
 * @throws {Problem} restInvalid when the request asks for too many
 */
export async function readPage<Entry>(
  asked: string | undefined,
  find: (most: number) => Promise<readonly Entry[]>,
  cursorBehind: (last: Entry, size: number) => string,
): Promise<Page<Entry>> {
  const size = asked === undefined ? entriesDefault : Number(asked);
  if (size > entriesMax) throw problem("restInvalid", `limit must be at most ${entriesMax}`);
  const found = await find(size + 1); // One more tells whether there is another page.
  const entries = found.slice(0, size);
  const last = entries.at(-1);
  const more = found.length > size && last !== undefined;
  return { entries, next: more ? cursorBehind(last, size) : undefined };
}
