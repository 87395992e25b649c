import t from "tap";
import { newId } from "../../src/acme/id.ts";
import { createAccountStore } from "../../src/store/accounts.ts";
import { createOrderStore } from "../../src/store/orders.ts";
import {
  accountKey,
  makeAccount,
  makeReadyOrder,
  migratedDatabase,
  newAccount,
  orderFor,
  query,
} from "../support/database.ts";

const noKeys = { thumbprint: undefined, spkiSha256: undefined, accountSpkiSha256: Buffer.alloc(32) };
const db = await migratedDatabase(t);
const store = createAccountStore(db);
const count = async (text: string, values: unknown[]): Promise<number> => {
  const [row] = await query<{ count: number }>(db, `select count(*)::int as count from ${text}`, values);
  return row?.count ?? -1;
};

t.test("twenty new accounts with one key at once make one account", async (t) => {
  const key = accountKey();
  const results = await Promise.all(
    Array.from({ length: 20 }, () => store.createAccount({ ...newAccount(key), contact: ["mailto:a@mayfly.test"] })),
  );
  t.equal(results.filter((result) => result?.created).length, 1);
  t.equal(new Set(results.map((result) => result?.account.id)).size, 1);
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
  t.same(await store.findAccountByThumbprint("default", account.thumbprint), account);
  t.same(await store.findAccount("default", account.id), account);
  t.equal(await store.findAccount("default", newId(new Date())), undefined);
  t.equal(await store.findAccountByThumbprint("default", accountKey().thumbprint), undefined);
});

t.test("an account exists in its directory only, and each directory has its own for one key", async (t) => {
  const account = await makeAccount(db);
  t.equal(await store.findAccount("other", account.id), undefined);
  t.equal(await store.findAccountByThumbprint("other", account.thumbprint), undefined);
  const second = await store.createAccount({
    ...account,
    ...newAccount(),
    thumbprint: account.thumbprint,
    directory: "other",
  });
  t.ok(second?.created);
  t.not(second?.account.id, account.id);
  const stranger = { ...account, directory: "other" };
  t.equal(await store.updateContact(stranger, []), undefined);
  t.equal(await store.deactivateAccount(stranger), undefined);
  t.same(await store.changeKey(stranger, accountKey()), { outcome: "stale" });
});

t.test("who signs with a key that the account has no more gets nothing done", async (t) => {
  const account = await makeAccount(db);
  const orders = createOrderStore(db);
  const ready = await makeReadyOrder(db, account);
  await store.changeKey(account, accountKey());
  t.equal(await store.updateContact(account, []), undefined);
  t.equal(await store.deactivateAccount(account), undefined);
  t.equal(await orders.createOrder(account, orderFor()), undefined);
  t.match(await orders.readOrder(account, ready.id), { status: "superseded" });
  t.match(await orders.readForFinalize(account, ready.id, noKeys), { status: "superseded" });
  t.equal(await orders.deactivateAuthorization(account, ready.authorizations[0]?.id ?? ""), undefined);
});

t.test("of twenty changes to different keys at once, each from the same old key, one happens", async (t) => {
  const account = await makeAccount(db);
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => store.changeKey(account, accountKey())));
  t.same(outcomes.map(({ outcome }) => outcome).sort(), ["changed", ...Array<string>(19).fill("stale")]);
  t.equal(await count("audit_entry where event = 'account.keyChanged' and subject = $1", [`account:${account.id}`]), 1);
});

t.test(
  "of two accounts that change to one key at once, one gets it and the other is told by whom it is taken",
  async (t) => {
    for (let round = 0; round < 10; round++) {
      const [a, b] = await Promise.all([makeAccount(db), makeAccount(db)]);
      const key = accountKey();
      const [first, second] = await Promise.all([a, b].map((account) => store.changeKey(account, key)));
      const winner = await store.findAccountByThumbprint("default", key.thumbprint);
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
    const [changed, made] = await Promise.all([store.changeKey(account, key), store.createAccount(newAccount(key))]);
    t.equal(await count("account where jwk_thumbprint = $1", [key.thumbprint]), 1);
    t.equal(changed.outcome === "changed", !made?.created);
  }
});

t.test("a deactivated account changes nothing more, and what was pending ends with it (RFC 8555 §7.3.6)", async (t) => {
  const account = await makeAccount(db);
  const orders = createOrderStore(db);
  const pending = orderFor();
  await orders.createOrder(account, pending);
  const ready = await makeReadyOrder(db, account);
  const results = await Promise.all([store.deactivateAccount(account), store.deactivateAccount(account)]);
  t.same(results.map((result) => String(result?.status)).sort(), ["deactivated", "undefined"]);

  const statuses = await query<{ status: string }>(db, "select status from acme_order where account_id = $1", [
    account.id,
  ]);
  t.same(statuses, [{ status: "invalid" }, { status: "invalid" }]);
  t.equal(await count("acme_authorization where account_id = $1 and status <> 'deactivated'", [account.id]), 0);
  t.equal(await store.updateContact(account, []), undefined);
  t.equal(await store.deactivateAccount(account), undefined);
  t.same(await store.changeKey(account, accountKey()), { outcome: "stale" });
  t.equal(await orders.createOrder(account, orderFor()), undefined, "and gets no order");
  t.match(await orders.readOrder(account, ready.id), { status: "deactivated" });
});
