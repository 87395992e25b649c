import t from "tap";
import { firstIdOf, newId } from "../../src/acme/id.ts";
import { isId } from "../../src/acme/urls.ts";

t.test("H-23 UUIDv7: ordered by time, and otherwise chance", async (t) => {
  const now = Date.parse("2026-11-24T12:00:00.123Z");
  const ids = Array.from({ length: 200 }, () => newId(new Date(now)));
  t.equal(new Set(ids).size, 200);
  t.ok(
    ids.every((id) => isId(id) && /^.{14}7.{4}[89ab]/.test(id)),
    "version 7, variant 10",
  );
  t.ok(
    ids.every((id) => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16) === now),
    "48 bits of milliseconds",
  );
  const [earlier, later] = [newId(new Date(now - 1)), newId(new Date(now + 1))];
  t.ok(ids.every((id) => earlier < id && id < later));
});

t.test("the least id of a moment sorts before all of it and after all before", async (t) => {
  const moment = new Date(1_800_000_000_000);
  t.ok(firstIdOf(moment) <= newId(moment));
  t.ok(newId(new Date(moment.getTime() - 1), Buffer.alloc(10, 255)) < firstIdOf(moment));
});
