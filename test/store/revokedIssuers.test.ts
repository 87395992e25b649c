/** An issuing CA revoked, by the statement: once however many ask, and nothing is issued by it from then on. */
import { randomBytes } from "node:crypto";
import t from "tap";

import { defaultIssuerName } from "../../src/authority/issuer.ts";
import { outlookOf } from "../../src/authority/revokeIssuer.ts";
import { statement } from "../../src/store/database.ts";
import { issuerIssues } from "../../src/store/intents.ts";
import { createIssuanceLedger } from "../../src/store/issuance.ts";
import { createIssuerStore } from "../../src/store/issuers.ts";
import { createIssuerRevocationStore } from "../../src/store/revokedIssuers.ts";
import { readCertificate } from "../../src/x509/certificate.ts";
import { listGround } from "../support/certificateLists.ts";
import { migratedDatabase, query } from "../support/database.ts";

const db = await migratedDatabase(t);

t.test(
  "of several at once one revokes; the statement that writes an intent finds no issuer, without any grace",
  async (t) => {
    const { issuers, issuer, clock } = await listGround(db);
    const { id } = issuers.active(defaultIssuerName);
    const { serialNumber } = readCertificate(issuer.certificate);
    const issues = statement("test_issuer_issues", `select ${issuerIssues("$1")} as issues`);
    t.same(await db.run(issues, [id]), [{ issues: true }]);
    const said = { id, nextId: null, serialNumber, reason: 2, note: "key exposed", actor: "operator" };
    const store = createIssuerRevocationStore(db);
    t.equal(await store.revokeIssuer({ ...said, state: "retiring" }), false, "not in the state that was seen");
    t.equal(await store.revokeIssuer({ ...said, state: "active", nextId: id }), false, "what is to follow cannot");
    t.same(await query(db, "select from revocation"), [], "and nothing was done");
    const answers = await Promise.all([1, 2, 3].map(() => store.revokeIssuer({ ...said, state: "active" })));
    t.equal(answers.filter((done) => done).length, 1);
    t.same(await db.run(issues, [id]), [{ issues: false }]);
    t.match(await query(db, "select serial, reason, shard, list_number, issuer_id from revocation"), [
      { serial: serialNumber, reason: 2, shard: 0, list_number: null, issuer_id: issuers.roots()[0]?.id },
    ]);
    t.equal((await query(db, "select from audit_entry where event = 'issuer.revoked'")).length, 1);
    t.equal((await query(db, "select from outbox where topic = 'issuer.revoked'")).length, 1);
    await issuers.reread();
    const parts = { store: { ...createIssuerStore(db), ...store }, issuers, now: () => clock.now };
    await t.rejects(outlookOf(id, parts), /was revoked at/);
    t.equal(await outlookOf("00000000-0000-4000-8000-000000000000", parts), undefined);
    t.equal(issuers.byId(id)?.state, "retiring", "its lists go on");
    t.throws(() => issuers.active(defaultIssuerName));
  },
);

t.test("what was left between intent and record is not signed by one that was revoked", async (t) => {
  const { issuer } = await listGround(db);
  await query(db, "delete from issuance_intent");
  await query(
    db,
    `insert into issuance_intent (serial, tbs, issuer_id, door, identity_kind, identity_name, dns_names, ip_addresses, profile, profile_hash,
                                  spki_sha256, evidence, not_before, not_after)
     values ($1, '', $2, 'listener', 'names', 'left.test', '{}', '{}', 'server', '', '', '{}', now(), now() + interval '1 hour')`,
    [randomBytes(16), issuer.id],
  );
  const ledger = createIssuanceLedger(db);
  const taken = async () => {
    await query(db, "update issuance_intent set tried_at = now() - interval '1 hour'");
    return (await ledger.openIntents(new Date(), 10)).map(({ revoked }) => revoked);
  };
  t.same(await taken(), [false]);
  await query(db, "update issuer set revoked_at = now(), state = 'retiring', retiring_at = now() where id = $1", [
    issuer.id,
  ]);
  t.same(await taken(), [true]);
});

t.test("the database lets no revoked one issue, whatever asks", async (t) => {
  const { issuer } = await listGround(db);
  await t.rejects(
    query(db, "update issuer set revoked_at = now() where id = $1", [issuer.id]),
    /issuer_revoked_issues_nothing/,
  );
  await query(db, "update issuer set revoked_at = now(), state = 'retiring', retiring_at = now() where id = $1", [
    issuer.id,
  ]);
  await t.rejects(
    query(db, "update issuer set state = 'active' where id = $1", [issuer.id]),
    /issuer_revoked_issues_nothing/,
  );
});
