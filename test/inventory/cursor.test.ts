import * as fc from "fast-check";
import t from "tap";
import { readCursor, writeCursor } from "../../src/inventory/cursor.ts";

t.test("what was written is read, whatever the key", async (t) => {
  const date = fc.date({ min: new Date("1970-01-01"), max: new Date("9999-12-31"), noInvalidDate: true });
  const key = fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\0") && text.isWellFormed());
  fc.assert(
    fc.property(date, key, (at, text) => {
      t.same(readCursor(writeCursor({ at, key: text })), { at, key: text });
    }),
    { numRuns: 50 },
  );
});

t.test("any other text is refused, never thrown at the caller as something else", async (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        readCursor(text);
        return true;
      } catch (error) {
        return (error as { code?: string }).code === "restInvalid";
      }
    }),
    { numRuns: 500 },
  );
  t.throws(() => readCursor(""), { code: "restInvalid" });
});
