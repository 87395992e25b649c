import t from "tap";
import { newId } from "../../src/acme/id.ts";
import type { Identifier } from "../../src/acme/ports.ts";
import { createAccountStore } from "../../src/store/accounts.ts";
import { createCertificateStore } from "../../src/store/certificates.ts";
import { createOrderStore } from "../../src/store/orders.ts";
import {
  makeAccount,
  makeCertificate,
  makeReadyOrder,
  migratedDatabase,
  orderFor,
  query,
  spiffe,
} from "../support/database.ts";

const db = await migratedDatabase(t);
const store = createCertificateStore(db);
const unknown = Buffer.alloc(16, 0x4f);

t.test("a certificate is its account's alone; revocation finds any by its serial", async (t) => {
  const [owner, other] = await Promise.all([makeAccount(db), makeAccount(db)]);
  const order = await makeReadyOrder(db, owner);
  const { serial } = await makeCertificate(db, { orderId: order.id, accountId: owner.id });
  const expected = { serial, accountId: owner.id, dnsNames: ["a.test"], ipAddresses: [], spiffeId: null };
  t.match(await store.readCertificate(owner, serial), { status: "valid", object: expected });
  t.same(await store.readCertificate(other, serial), { status: "valid", object: undefined });
  t.same(await store.readCertificate({ ...other, id: newId(new Date()) }, serial), {
    status: undefined,
    object: undefined,
  });
  t.match(await store.findCertificate(serial), expected);
  t.equal(await store.findCertificate(unknown), undefined);
});

t.test("of twenty revocations at once one happens, with one audit entry and one event", async (t) => {
  const { serial } = await makeCertificate(db, spiffe("spiffe://mayfly.test/revoked"));
  const revocation = { serial, reason: 4, revokedBy: "key", requireAccount: undefined };
  const outcomes = await Promise.all(
    Array.from({ length: 20 }, () => store.revoke({ ...revocation, id: newId(new Date()) })),
  );
  t.same(outcomes.sort(), [...Array<string>(19).fill("alreadyRevoked"), "revoked"]);
  const [row] = await query<{ reason: number; revoked_at: Date }>(db, "select * from revocation where serial = $1", [
    serial,
  ]);
  t.match(row, { reason: 4, revoked_by: "key" });
  t.equal(row?.revoked_at.getMilliseconds(), 0, "whole seconds, as a CRL has them");
  for (const text of [
    "select 1 from audit_entry where event = 'certificate.revoked' and subject = 'certificate:' || encode($1, 'hex')",
    "select 1 from outbox where topic = 'certificate.revoked' and payload->>'serial' = encode($1, 'hex')",
  ]) {
    t.equal((await query(db, text, [serial])).length, 1, text.slice(0, 40));
  }
});

t.test("an account that is not valid any more revokes nothing", async (t) => {
  const account = await makeAccount(db);
  const { serial } = await makeCertificate(db);
  const revocation = { serial, reason: undefined, revokedBy: `account:${account.id}`, requireAccount: account };
  await createAccountStore(db).deactivateAccount(account);
  t.equal(await store.revoke({ ...revocation, id: newId(new Date()) }), "accountNotValid");
  const valid = await makeAccount(db);
  t.equal(await store.revoke({ ...revocation, id: newId(new Date()), requireAccount: valid }), "revoked");
  t.equal(await store.revoke({ ...revocation, id: newId(new Date()), requireAccount: valid }), "alreadyRevoked");
  await t.rejects(store.revoke({ ...revocation, id: newId(new Date()), serial: unknown, requireAccount: undefined }), {
    message: "there is no such certificate to revoke",
  });
});

t.test("holdsAuthorizations: every identifier, valid now, by this account, wildcards by themselves", async (t) => {
  const account = await makeAccount(db);
  const other = await makeAccount(db);
  const dns = (value: string): Identifier => ({ type: "dns", value });
  const authorized = async (value: string, wildcard: boolean): Promise<string> => {
    const [authorization] = orderFor().authorizations;
    if (authorization === undefined) throw new Error("an order has an authorization");
    const order = { authorizations: [{ ...authorization, identifier: dns(value), wildcard }] };
    return (await makeReadyOrder(db, account, order)).id;
  };
  const bareOrder = await authorized("a.test", false);
  await authorized("wild.test", true);
  const holds = (...identifiers: Identifier[]) => store.holdsAuthorizations(account, identifiers);
  t.equal(await holds(dns("a.test")), true);
  t.equal(await holds(dns("a.test"), dns("*.wild.test")), true);
  t.equal(await holds(dns("*.a.test")), false, "a name is not its wildcard");
  t.equal(await holds(dns("wild.test")), false, "nor the other way round");
  t.equal(await holds(dns("a.test"), dns("b.test")), false);
  t.equal(await holds({ type: "uri", value: "a.test" }), false);
  t.equal(await holds(), false, "nothing is not everything");
  t.equal(await store.holdsAuthorizations(other, [dns("a.test")]), false);

  await query(db, "update acme_authorization set expires_at = now() where order_id = $1", [bareOrder]);
  t.equal(await holds(dns("a.test")), false, "expired");
  t.match(await createOrderStore(db).readOrder(account, bareOrder), { object: { status: "ready" } });
});
