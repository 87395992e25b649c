/** Cursors: where a page ended, as opaque text. A client may alter one, and then only starts somewhere else. */
import { problem } from "../problem/problem.ts";
import type { Position } from "./ports.ts";

/** The cursor that continues after this position. */
export function writeCursor({ at, key }: Position): string {
  return Buffer.from(JSON.stringify([at.toISOString(), key])).toString("base64url");
}

/** @throws {Problem} restInvalid when the text is no cursor */
export function readCursor(text: string): Position {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    if (Array.isArray(value) && value.length === 2 && typeof value[0] === "string" && typeof value[1] === "string") {
      const at = new Date(value[0]);
      const key: string = value[1];
      // The form that was given out; JavaScript's years of six digits are more than Postgres holds.
      const isTime = /^[1-9]\d{3}-/.test(value[0]) && !Number.isNaN(at.getTime());
      if (isTime && !key.includes("\0")) return { at, key };
    }
  } catch {
    // Falls through to the one refusal.
  }
  throw problem("restInvalid", "the cursor is not one that this server gave out");
}
