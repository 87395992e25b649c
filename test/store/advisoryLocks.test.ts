/** Whoever waits for an advisory lock leaves the pool to others, however many wait. */
import t from "tap";
import { openPool, query } from "../support/database.ts";
import { temporaryPostgres } from "../support/postgres.ts";

const { url } = await temporaryPostgres(t);
const lock = 4_711;
const ten = Array.from({ length: 10 }, (_, index) => index);

t.test("ten wait for what another process does, and a statement of anybody else is answered", async (t) => {
  const [other, db] = [openPool(t, url, 4), openPool(t, url, 4)];
  const [held, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const holding = other.exclusively(lock, async () => {
    held.resolve();
    await release.promise;
  });
  await held.promise;
  const waiting = ten.map((index) =>
    db.exclusively(lock, async () => {
      await query(db, "select 1");
      return index;
    }),
  );
  for (const _ of ten) t.match(await query(db, "select 'answered' as is"), [{ is: "answered" }]);
  release.resolve();
  await holding;
  t.same(await Promise.all(waiting), ten, "and each has its turn, with a statement of its own");
});

t.test("one that fails keeps no other from its turn, and locks of other numbers are other locks", async (t) => {
  const db = openPool(t, url, 8);
  const failing = db.exclusively(lock, () => Promise.reject(new Error("inside")));
  const next = db.exclusively(lock, () => db.exclusively(lock + 1, async () => "inside both"));
  await t.rejects(failing, { message: "inside" });
  t.equal(await next, "inside both");
});
