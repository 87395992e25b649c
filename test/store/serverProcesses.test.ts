/** Server processes and what each of them shows, on real Postgres. */
import t from "tap";

import { newId } from "../../src/acme/id.ts";
import { createRevocationActionStore } from "../../src/store/revocationActions.ts";
import { createServerProcesses } from "../../src/store/serverProcesses.ts";
import { migratedDatabase, query } from "../support/database.ts";

const db = await migratedDatabase(t);
const store = createRevocationActionStore(db);

/** A revocation of one certificate that was published so long ago. */
async function published(createdBy: string, seconds: number): Promise<string> {
  const id = newId(new Date());
  await query(
    db,
    `insert into revocation_action (id, kind, subject, created_by, state, done_at, published_at)
     select $1, 'certificate', 'aa', $2, 'done', at, at from (select now() - make_interval(secs => $3) as at) a`,
    [id, createdBy, seconds],
  );
  return id;
}
const shownBy = async (id: string): Promise<Record<string, boolean>> =>
  Object.fromEntries((await store.effects(id)).map(({ name, shownAt }) => [name, shownAt !== null]));

const [first, second] = [
  createServerProcesses(db, "01".repeat(8), "first"),
  createServerProcesses(db, "02".repeat(8), "second"),
];

t.test("each process says what it shows, whoever revoked it", async (t) => {
  await first.beat([]);
  await second.beat([]);
  for (const createdBy of ["operator", "account:1", "certificate key"]) {
    const id = await published(createdBy, 0);
    t.ok((await first.beat([])).includes(id), createdBy);
    t.same(await shownBy(id), { first: false, second: false });
    t.notOk((await first.beat([id])).includes(id), "at once");
    t.notOk((await first.beat([])).includes(id));
    t.ok((await second.beat([])).includes(id));
    t.same(await shownBy(id), { first: true, second: false });
    await second.beat([id]);
    t.same(await shownBy(id), { first: true, second: true });
  }
});

t.test(
  "what is found to be published is told of by the same statement, to the first who asks and to all others",
  async (t) => {
    const id = newId(new Date());
    await query(
      db,
      `insert into revocation_action (id, kind, subject, created_by, state, done_at)
     values ($1, 'certificate', 'aa', 'operator', 'done', now())`,
      [id],
    );
    t.ok((await first.beat([])).includes(id));
    t.match(await store.read(id), { publishedAt: Date });
    t.ok((await second.beat([])).includes(id));
    t.notOk((await first.beat([id])).includes(id));
  },
);

t.test("what clients revoked a while ago is not looked for each second; what operators did is", async (t) => {
  const [client, operator] = [await published("account:1", 120), await published("operator", 120)];
  const unshown = await first.beat([]);
  t.notOk(unshown.includes(client));
  t.ok(unshown.includes(operator));
});

t.test("a process that came afterwards shows it since it came", async (t) => {
  const id = await published("account:1", 7200);
  const [{ shownAt } = { shownAt: null }] = await store.effects(id);
  const [{ at } = { at: null }] = await query<{ at: Date }>(
    db,
    "select started_at as at from server_process where name = 'first'",
  );
  t.same(shownAt, at);
  await first.leave();
  t.same(await shownBy(id), { second: true });
});
