/** Validations as the store knows them: whose they are, and when one counts as left behind. */
import t from "tap";
import { createOrderStore } from "../../src/store/orders.ts";
import { makeAccount, migratedDatabase, orderFor, query } from "../support/database.ts";

const db = await migratedDatabase(t);
const orders = createOrderStore(db);

/** An order whose validation was begun a minute ago, or never. */
async function begun(since: string | null) {
  const order = { ...orderFor(), signer: await makeAccount(db) };
  await orders.createOrder(order.signer, order);
  const [{ id } = { id: "" }] = order.authorizations;
  await query(db, "update acme_authorization set validating_since = $2::timestamptz where id = $1", [id, since]);
  return id;
}

t.test(
  "a validation that waits and is kept is not left behind; what was not begun, or has ended, stays so",
  async (t) => {
    const minuteAgo = new Date(Date.now() - 60_000).toISOString();
    const [kept, ended, idle, left] = [
      await begun(minuteAgo),
      await begun(null),
      await begun(null),
      await begun(minuteAgo),
    ];
    await query(db, "update acme_authorization set status = 'invalid' where id = $1", [ended]);
    await orders.keepValidations([kept, ended, idle]);
    const rows = await query<{ id: string }>(
      db,
      "select id from acme_authorization where validating_since > now() - interval '30 seconds'",
    );
    t.same(rows, [{ id: kept }]);
    const taken = await orders.reclaimValidations(new Date(Date.now() - 30_000), 10);
    t.same(
      taken.map(({ authorization }) => authorization.id),
      [left],
    );
  },
);
