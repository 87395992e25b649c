import t from "tap";
import type { Intent, KeyReuse } from "../../src/authority/ports.ts";
import { createBlockedKeyStore } from "../../src/store/blockedKeys.ts";
import { byKeyReuse } from "../../src/store/certificateKeys.ts";
import { createIssuanceLedger } from "../../src/store/issuance.ts";
import { intentFor, makeAccount, makeIssuer, makeReadyOrder, migratedDatabase, query } from "../support/database.ts";
import { sha256 } from "../support/issuers.ts";

const db = await migratedDatabase(t);
await makeIssuer(db);
const ledger = createIssuanceLedger(db);
let keys = 0;
const freshKey = (): Buffer => sha256(`key ${++keys}`);

/** An intent for a ready order of its own. */
async function intentOf(identityName: string, spkiSha256: Buffer, keyReuse: KeyReuse): Promise<Intent> {
  const account = await makeAccount(db);
  const order = await makeReadyOrder(db, account);
  const owner = { door: "acme", orderId: order.id, accountId: account.id } as const;
  return intentFor({ ...owner, identityName, spkiSha256, keyReuse });
}
const statusOf = async ({ orderId }: Intent): Promise<unknown> =>
  (await query<{ status: string }>(db, "select status from acme_order where id = $1", [orderId]))[0]?.status;
async function issue(identityName: string, key: Buffer, keyReuse: KeyReuse): Promise<string> {
  const intent = await intentOf(identityName, key, keyReuse);
  const outcome = await ledger.intend(intent);
  if (outcome === "intended") await ledger.record(intent.serial, Buffer.from("der"));
  return outcome;
}

t.test("a key for one identity only", async (t) => {
  const key = freshKey();
  t.equal(await issue("a.test", key, "identity"), "intended");
  t.equal(await issue("a.test", key, "identity"), "intended", "as often as it likes");
  const refused = await intentOf("b.test", key, "identity");
  t.equal(await ledger.intend(refused), "keyIsUsed");
  t.equal(await statusOf(refused), "ready", "and nothing changed");
  t.same(await query(db, "select from issuance_intent where serial = $1", [refused.serial]), []);
  t.equal(await issue("b.test", key, "any"), "intended", "a profile without the rule has none");
  t.equal(await issue("a.test", key, "never"), "keyIsUsed");
});

t.test("a key for one certificate", async (t) => {
  const key = freshKey();
  t.equal(await issue("a.test", key, "never"), "intended");
  t.equal(await issue("a.test", key, "never"), "keyIsUsed");
  t.equal(await issue("a.test", key, "identity"), "intended", "of the same identity, by a profile that lets it");
});

t.test("certificates count that a profile without the rule issued", async (t) => {
  const key = freshKey();
  t.equal(await issue("a.test", key, "any"), "intended");
  t.same(
    await query(db, "select from certificate_key where spki_sha256 = $1", [key]),
    [],
    "which writes no row for it",
  );
  t.equal(await issue("b.test", key, "identity"), "keyIsUsed");
  t.equal(await issue("a.test", key, "identity"), "intended");
  t.equal(await issue("a.test", key, "never"), "keyIsUsed");
});

t.test("of orders that come at the same time, one identity gets the key", async (t) => {
  for (let round = 0; round < 10; round++) {
    const key = freshKey();
    const names = ["a.test", "b.test", "c.test", "d.test"];
    const intents = await Promise.all(names.map((name) => intentOf(name, key, "identity")));
    const outcomes = await Promise.all(intents.map((intent) => ledger.intend(intent)));
    t.same(outcomes.toSorted(), ["intended", "keyIsUsed", "keyIsUsed", "keyIsUsed"]);
    const once = freshKey();
    const same = await Promise.all(names.map(() => intentOf("a.test", once, "never")));
    const [mine, ...others] = (await Promise.all(same.map((intent) => ledger.intend(intent)))).toSorted();
    t.same([mine, new Set(others)], ["intended", new Set(["keyIsUsed"])]);
  }
});

t.test("a blocked key gets no intent, whoever asks and however the order was made", async (t) => {
  const key = freshKey();
  const intent = await intentOf("a.test", key, "any");
  await createBlockedKeyStore(db).block(key, null);
  t.equal(await ledger.intend(intent), "keyIsBlocked");
  t.equal(await statusOf(intent), "ready");
  await createBlockedKeyStore(db).unblock(key);
  t.equal(await ledger.intend(intent), "intended");
});

t.test("a profile without a rule has a statement without it", async (t) => {
  const statements = byKeyReuse("s", (keyed) => `before${keyed} after`);
  t.match(statements.any, { name: "s", text: "before after" });
  t.match(statements.identity, {
    name: "s_identity_key",
    text: /^before, keyed as \([\s\S]*certificate_key[\s\S]*\) after$/,
  });
  t.match(statements.never, { name: "s_new_key" });
});

t.test("what lints stopped is written down, told, and ends the order without a detail", async (t) => {
  const intent = await intentOf("a.test", freshKey(), "any");
  await ledger.refuse({ ...intent, findings: ["version3 (RFC 5280)"], tbsSha256: sha256(intent.tbs) });
  const [order] = await query(db, "select status, error from acme_order where id = $1", [intent.orderId]);
  const error = {
    type: "urn:ietf:params:acme:error:serverInternal",
    status: 500,
    detail: "the certificate could not be issued",
  };
  t.same(order, { status: "invalid", error });
  const serial = intent.serial.toString("hex");
  const detail = {
    findings: ["version3 (RFC 5280)"],
    tbsSha256: sha256(intent.tbs).toString("hex"),
    identity: "a.test",
    profile: "server",
    profileHash: intent.profileHash.toString("hex"),
    issuer: intent.issuerId,
    door: "acme",
    order: intent.orderId,
    account: intent.accountId,
    key: intent.spkiSha256.toString("hex"),
  };
  const [entry] = await query(db, "select event, actor, detail from audit_entry where subject = $1", [
    `certificate:${serial}`,
  ]);
  t.same(entry, { event: "issuance.refused", actor: `account:${intent.accountId}`, detail });
  const [event] = await query(db, "select topic, payload from outbox where payload->>'serial' = $1", [serial]);
  t.same(event, { topic: "issuance.refused", payload: { ...detail, serial } });
  t.equal(await ledger.intend(intent), "notReady", "and the order is at its end");
});

t.test("of an intent that breaks lints as well, and its serial stays used", async (t) => {
  const intent = await intentOf("a.test", freshKey(), "any");
  t.equal(await ledger.intend(intent), "intended");
  await ledger.refuseIntent(intent.serial, { findings: ["version3 (RFC 5280)"], tbsSha256: sha256(intent.tbs) });
  t.equal(await statusOf(intent), "invalid");
  const serial = intent.serial.toString("hex");
  const told = { findings: ["version3 (RFC 5280)"], identity: "a.test", order: intent.orderId };
  t.match(
    await query(db, "select event, actor, detail from audit_entry where subject = $1", [`certificate:${serial}`]),
    [{ event: "issuance.refused", actor: "job:settle", detail: told }],
  );
  t.match(await query(db, "select payload from outbox where payload->>'serial' = $1", [serial]), [{ payload: told }]);
  t.equal(await ledger.record(intent.serial, Buffer.from("der")), false);
  await t.rejects(
    ledger.intend(await intentOf("a.test", freshKey(), "any").then((other) => ({ ...other, serial: intent.serial }))),
  );
});
