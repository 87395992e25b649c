import t from "tap";
import { newId } from "../../src/acme/id.ts";
import { createAccountStore } from "../../src/store/accounts.ts";
import { createOrderStore } from "../../src/store/orders.ts";
import { accountKey, makeAccount, makeReadyOrder, migratedDatabase, orderFor, query } from "../support/database.ts";

const db = await migratedDatabase(t);
const store = createAccountStore(db);
const count = async (text: string, values: unknown[]): Promise<number> => {
  const [row] = await query<{ count: number }>(db, `select count(*)::int as count from ${text}`, values);
  return row?.count ?? -1;
};

t.test("twenty new accounts with one key at once make one account", async (t) => {
  const key = accountKey();
  const results = await Promise.all(
    Array.from({ length: 20 }, () =>
      store.createAccount({ id: newId(new Date()), ...key, contact: ["mailto:a@mayfly.test"], termsAgreedAt: null }),
    ),
  );
  t.equal(results.filter(({ created }) => created).length, 1);
  t.equal(new Set(results.map(({ account }) => account.id)).size, 1);
  t.equal(await count("account where jwk_thumbprint = $1", [key.thumbprint]), 1);
  t.match(results[19]?.account, {
    status: "valid",
    jwk: key.jwk,
    thumbprint: key.thumbprint,
    contact: ["mailto:a@mayfly.test"],
  });
});

t.test("an account is found by key and id", async (t) => {
  const account = await makeAccount(db);
  t.same(await store.findAccountByThumbprint(account.thumbprint), account);
  t.same(await store.findAccount(account.id), account);
  t.equal(await store.findAccount(newId(new Date())), undefined);
  t.equal(await store.findAccountByThumbprint(accountKey().thumbprint), undefined);
});

t.test("of twenty changes to different keys at once, each from the same old key, one happens", async (t) => {
  const account = await makeAccount(db);
  const outcomes = await Promise.all(
    Array.from({ length: 20 }, () => store.changeKey(account.id, account.thumbprint, accountKey())),
  );
  t.same(outcomes.map(({ outcome }) => outcome).sort(), ["changed", ...Array<string>(19).fill("stale")]);
  t.equal(await count("audit_entry where event = 'account.keyChanged' and subject = $1", [`account:${account.id}`]), 1);
});

t.test(
  "of two accounts that change to one key at once, one gets it and the other is told by whom it is taken",
  async (t) => {
    for (let round = 0; round < 10; round++) {
      const [a, b] = await Promise.all([makeAccount(db), makeAccount(db)]);
      const key = accountKey();
      const [first, second] = await Promise.all(
        [a, b].map(({ id, thumbprint }) => store.changeKey(id, thumbprint, key)),
      );
      const winner = await store.findAccountByThumbprint(key.thumbprint);
      const [won, lost] = winner?.id === a.id ? [first, second] : [second, first];
      t.same(won, { outcome: "changed" });
      t.same(lost, { outcome: "taken", by: winner?.id });
    }
  },
);

t.test("a key change and a new account for one key at once leave one account with it", async (t) => {
  for (let round = 0; round < 10; round++) {
    const account = await makeAccount(db);
    const key = accountKey();
    const [changed, made] = await Promise.all([
      store.changeKey(account.id, account.thumbprint, key),
      store.createAccount({ id: newId(new Date()), ...key, contact: [], termsAgreedAt: null }),
    ]);
    t.equal(await count("account where jwk_thumbprint = $1", [key.thumbprint]), 1);
    t.equal(changed.outcome === "changed", !made.created);
  }
});

t.test("a deactivated account changes nothing more, and what was pending ends with it (RFC 8555 §7.3.6)", async (t) => {
  const account = await makeAccount(db);
  const orders = createOrderStore(db);
  const pending = orderFor(account.id);
  await orders.createOrder(pending);
  const ready = await makeReadyOrder(db, account.id);
  const results = await Promise.all([store.deactivateAccount(account.id), store.deactivateAccount(account.id)]);
  t.same(results.map((result) => String(result?.status)).sort(), ["deactivated", "undefined"]);

  const statuses = await query<{ status: string }>(db, "select status from acme_order where account_id = $1", [
    account.id,
  ]);
  t.same(statuses, [{ status: "invalid" }, { status: "invalid" }]);
  t.equal(await count("acme_authorization where account_id = $1 and status <> 'deactivated'", [account.id]), 0);
  t.equal(await store.updateContact(account.id, []), undefined);
  t.equal(await store.deactivateAccount(account.id), undefined);
  t.same(await store.changeKey(account.id, account.thumbprint, accountKey()), { outcome: "stale" });
  t.equal(await orders.createOrder(orderFor(account.id)), false, "and gets no order");
  t.match(await orders.readOrder(account.id, ready.id), { status: "deactivated" });
});
