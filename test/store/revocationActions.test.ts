/** Revocations as actions, statement by statement, on real Postgres: what they find, what they stop, and what was under way meanwhile. */
import { randomBytes, randomUUID } from "node:crypto";
import t, { type Test } from "tap";

import { newId } from "../../src/acme/id.ts";
import type { NewRevocation, RevocationKind } from "../../src/administration/revocationPorts.ts";
import type { Intent } from "../../src/authority/ports.ts";
import { createIssuanceLedger } from "../../src/store/issuance.ts";
import type { Database } from "../../src/store/database.ts";
import { createRevocationActionStore } from "../../src/store/revocationActions.ts";
import { createRevocationProgress } from "../../src/store/revocationProgress.ts";
import { createSuspensionStore } from "../../src/store/suspensions.ts";
import {
  intentFor,
  makeAccount,
  makeCertificate,
  makeReadyOrder,
  migratedDatabase,
  query,
  spiffe,
} from "../support/database.ts";

const db = await migratedDatabase(t);
const store = createRevocationActionStore(db);
const progress = createRevocationProgress(db);
const ledger = createIssuanceLedger(db);

const ordered = (kind: RevocationKind, subject: string, changes: Partial<NewRevocation> = {}): NewRevocation => ({
  id: newId(new Date()),
  kind,
  subject,
  delegationSource: null,
  reason: 4,
  note: "a test",
  quarantine: false,
  blockKeys: false,
  ...changes,
});

/** Begins and carries out, in one process. */
async function revoke(revocation: NewRevocation, batch = 3): Promise<void> {
  await store.begin(revocation, new Date());
  await carryOut(revocation, batch);
}
async function carryOut(revocation: NewRevocation, batch = 3): Promise<void> {
  await progress.close(revocation.id);
  while ((await progress.step(revocation2(revocation), batch)) === "running");
}
const revocation2 = ({ id, kind, subject }: NewRevocation) => ({ id, kind, subject, closedAt: null });

const isRevoked = async ({ serial }: Intent, on: Database = db): Promise<boolean> =>
  (await query(on, "select 1 from revocation where serial = $1", [serial])).length === 1;

/** The evidence of a certificate that this grant gave to what this source said. */
const attestedBy = (grant: string, source: string, more: object = {}) => [
  {
    identifier: { type: "uri", value: "spiffe://x/y" },
    proved: { by: "attestation", record: { source, grant, grantVersion: "v1", ...more } },
  },
];

/** What an intent rests on, with one part that is not of the action. */
interface Case {
  readonly kind: RevocationKind;
  readonly subject: (intent: Intent) => string;
  readonly covered: () => Promise<Partial<Intent>> | Partial<Intent>;
  readonly other: () => Promise<Partial<Intent>> | Partial<Intent>;
}

const named = (): Partial<Intent> => spiffe(`spiffe://mayfly.test/${randomUUID()}`);
async function ofAccount(): Promise<Partial<Intent>> {
  const account = await makeAccount(db);
  const { id } = await makeReadyOrder(db, { id: account.id, directory: "default", thumbprint: account.thumbprint });
  return { accountId: account.id, orderId: id, door: "acme" };
}

const [spiffeId, oneKey, issuerId] = [`spiffe://mayfly.test/${randomUUID()}`, randomBytes(32), randomUUID()];
const delegation = {
  source: "idp",
  reference: "ab".repeat(32),
  delegator: "01".repeat(36),
  task: "02".repeat(36),
  expires: "2099-01-01T00:00:00Z",
};
const cases: readonly Case[] = [
  { kind: "identity", subject: ({ identityName }) => identityName, covered: () => spiffe(spiffeId), other: named },
  {
    kind: "identity",
    subject: ({ identityName }) => identityName,
    covered: () => ({ identityName: "b.test,c.test", dnsNames: ["b.test", "c.test"] }),
    other: () => ({ identityName: "b.test", dnsNames: ["b.test"] }),
  },
  {
    kind: "identity",
    subject: ({ identityName }) => identityName,
    covered: () => ({ identityName: "10.0.0.9", dnsNames: [], ipAddresses: ["10.0.0.9"] }),
    other: named,
  },
  {
    kind: "identity",
    subject: ({ identityName }) => identityName,
    covered: () => ({
      identityKind: "device",
      identityName: "permanent-identifier 77",
      permanentIdentifier: "77",
      dnsNames: [],
    }),
    other: named,
  },
  {
    kind: "key",
    subject: ({ spkiSha256 }) => spkiSha256.toString("hex"),
    covered: () => ({ ...named(), spkiSha256: oneKey }),
    other: named,
  },
  { kind: "issuer", subject: (of) => of.issuerId, covered: () => ({ ...named(), issuerId }), other: named },
  {
    kind: "grant",
    subject: () => "agents",
    covered: () => ({ ...named(), evidence: attestedBy("agents", "k8s") }),
    other: () => ({ ...named(), evidence: attestedBy("agents2", "k8s") }),
  },
  {
    kind: "grant",
    subject: () => "platform",
    covered: () => ({ ...named(), evidence: attestedBy("renewals", "held", { platform: { grant: "platform" } }) }),
    other: () => ({ ...named(), evidence: attestedBy("x", "held", { platform: { grant: "other" } }) }),
  },
  {
    kind: "source",
    subject: () => "cluster",
    covered: () => ({ ...named(), evidence: attestedBy("a", "cluster") }),
    other: () => ({ ...named(), evidence: attestedBy("a", "cluster-2") }),
  },
  {
    kind: "source",
    subject: () => "second",
    covered: () => ({ ...named(), evidence: attestedBy("a", "first", { with: [{ source: "second" }] }) }),
    other: () => ({ ...named(), evidence: attestedBy("a", "first", { with: [{ source: "third" }] }) }),
  },
  {
    kind: "task",
    subject: () => delegation.task,
    covered: () => ({ ...named(), evidence: attestedBy("a", "d", { delegation }) }),
    other: () => ({
      ...named(),
      evidence: attestedBy("a", "d", {
        delegation: { ...delegation, delegator: "03".repeat(36), task: "04".repeat(36) },
      }),
    }),
  },
  {
    kind: "delegator",
    subject: () => "05".repeat(36),
    covered: () => ({
      ...named(),
      evidence: attestedBy("a", "d", {
        delegation: { ...delegation, delegator: "05".repeat(36), task: "06".repeat(36) },
      }),
    }),
    other: () => ({
      ...named(),
      evidence: attestedBy("a", "d", {
        delegation: { ...delegation, delegator: "07".repeat(36), task: "08".repeat(36) },
      }),
    }),
  },
];

for (const { kind, subject, covered, other } of cases) {
  t.test(`${kind} ${subject(intentFor(await covered()))}: all of it, nothing else, and no more of it`, async (t) => {
    const ours: Intent[] = [];
    for (let i = 0; i < 7; i++) ours.push(await makeCertificate(db, await covered()));
    const expired = await makeCertificate(db, { ...(await covered()), notAfter: new Date(Date.now() - 1_000) });
    const theirs = [await makeCertificate(db, await other()), await makeCertificate(db, await other())];
    const underWay = intentFor(await covered());
    const beside = intentFor(await other());
    for (const intent of [underWay, beside]) t.equal(await ledger.intend(intent), "intended");

    const of = ordered(kind, subject(underWay), {
      delegationSource: kind === "task" || kind === "delegator" ? "idp" : null,
    });
    t.match(await store.coverage(of, new Date()), {
      certificates: 7,
      underWay: 1,
      revokedBefore: 0,
      serials: { length: 7 },
    });
    await requireCounted(t, of, ours.slice(0, 3), covered);
    await carryOut(of);

    for (const one of ours) t.ok(await isRevoked(one));
    for (const one of [expired, ...theirs]) t.notOk(await isRevoked(one));
    t.match(await store.read(of.id), {
      state: "done",
      revoked: 7,
      revokedBefore: 0,
      caught: 1,
      createdBy: "operator",
      note: "a test",
    });
    for (const intent of [underWay, beside]) t.ok(await ledger.record(intent.serial, randomBytes(50)));
    t.ok(await isRevoked(underWay), "what was under way is recorded, and revoked with it");
    t.notOk(await isRevoked(beside));
    t.equal(await ledger.intend(intentFor(await other())), "intended", "other things are none of its business");
    await requireToldOf(t, of.id, 8);
    await requireStopped(t, kind, covered);
  });
}

/** Of seven certificates, three of which are from before, and one under way: begins it, at the second attempt, where no more may have come. */
async function requireCounted(t: Test, of: NewRevocation, before: readonly Intent[], covered: Case["covered"]) {
  const serials = before.map(({ serial }) => serial);
  await query(db, "update certificate set issued_at = now() - interval '1 day' where serial = any($1)", [serials]);
  const issuedAfter = await store.recordedUntil();
  t.match(await store.coverage(of, new Date(), issuedAfter), { certificates: 3 });

  t.equal(await store.beginAtMost(of, new Date(), { atMost: 4, issuedAfter }), undefined, "four and one under way");
  t.equal(await store.read(of.id), undefined);
  const intent = intentFor({ ...(await ofAccount()), ...(await covered()) });
  t.equal(await ledger.intend(intent), "intended", "nothing was stopped");
  await query(db, "update issuance_intent set abandoned_at = now() where serial = $1", [intent.serial]);

  t.match(await store.beginAtMost(of, new Date(), { atMost: 5, issuedAfter }), { id: of.id, state: "running" });
}

/** The door of the listener has no order, and no condition but the serial's: what stops an order is looked at with one. */
async function requireStopped(t: Test, kind: RevocationKind, covered: Case["covered"]): Promise<void> {
  const intent = intentFor({ ...(await ofAccount()), ...(await covered()) });
  const outcome = await ledger.intend(intent);
  t.not(outcome, "intended");
  if (kind === "identity") t.equal(outcome, "quarantined");
  if (kind === "grant" || kind === "source" || kind === "issuer") t.equal(outcome, "suspended");
}

/** One audit entry and one event of each certificate, and those of the action. */
async function requireToldOf(t: Test, id: string, certificates: number): Promise<void> {
  const audited =
    "select event, count(*)::int as n from audit_entry where detail ->> 'action' = $1 group by event order by event";
  const told =
    "select topic as event, count(*)::int as n from outbox where payload ->> 'action' = $1 group by topic order by topic";
  for (const rows of [await query(db, audited, [id]), await query(db, told, [id])])
    t.match(
      rows.filter(({ event }: { event?: string }) => /^(certificate|revocation)/.test(event ?? "")),
      [
        { event: "certificate.revoked", n: certificates },
        { event: "revocation.done", n: 1 },
        { event: "revocation.ordered", n: 1 },
      ],
    );
}

t.test("account: revoked itself, with its orders, and its certificates", async (t) => {
  const account = await makeAccount(db);
  const signer = { id: account.id, directory: "default", thumbprint: account.thumbprint };
  const [issued, ready] = [await makeReadyOrder(db, signer), await makeReadyOrder(db, signer)];
  const ours = await makeCertificate(db, { accountId: account.id, orderId: issued.id, door: "acme" });
  const of = ordered("account", account.id);
  t.ok(await store.exists(of));
  t.notOk(await store.exists(ordered("account", randomUUID())));
  await revoke(of);
  t.ok(await isRevoked(ours));
  t.same(await query(db, "select status from account where id = $1", [account.id]), [{ status: "revoked" }]);
  t.equal(await ledger.intend(intentFor({ accountId: account.id, orderId: ready.id, door: "acme" })), "notReady");
});

t.test("one certificate, its key and its identity", async (t) => {
  const ours = await makeCertificate(db, named());
  const other = await makeCertificate(db, { ...named(), spkiSha256: ours.spkiSha256 });
  const of = ordered("certificate", ours.serial.toString("hex"), { quarantine: true, blockKeys: true, reason: 1 });
  t.notOk(await store.exists(ordered("certificate", "4f00")));
  await store.begin(of, new Date());
  while ((await progress.step(revocation2(of), 10)) === "running");
  t.ok(await isRevoked(ours));
  t.notOk(await isRevoked(other));
  t.match(await store.read(of.id), { state: "done", revoked: 1, quarantined: 1, blocked: 1 });
  t.same(await query(db, "select reason from blocked_key where spki_sha256 = $1", [ours.spkiSha256]), [
    { reason: "keyCompromise" },
  ]);
  t.same(await query(db, "select created_by, reason from quarantine where identity = $1", [ours.identityName]), [
    { created_by: "operator", reason: "a test" },
  ]);
});

t.test("who was revoked first stays as it was, and an action that is repeated changes nothing", async (t) => {
  const id = named();
  const [first, second] = [await makeCertificate(db, id), await makeCertificate(db, id)];
  await revoke(ordered("certificate", first.serial.toString("hex"), { reason: 1 }));
  const [then, again] = [ordered("identity", second.identityName), ordered("identity", second.identityName)];
  for (const one of [then, again]) await revoke(one);
  t.match(await store.read(then.id), { revoked: 1, revokedBefore: 1 });
  t.match(await store.read(again.id), { revoked: 0, revokedBefore: 2 });
  t.same(await query(db, "select reason from revocation where serial = $1", [first.serial]), [{ reason: 1 }]);
  t.equal(
    (await query(db, "select 1 from quarantine where identity = $1 and lifted_at is null", [second.identityName]))
      .length,
    1,
  );
  t.same(
    (await store.list({ certificate: first.serial }, undefined, 10)).map(({ kind }) => kind),
    ["certificate"],
  );
});

t.test(
  "a suspension that is lifted lets certificates be issued, which an action from before does not touch",
  async (t) => {
    const rests = (): Partial<Intent> => ({ ...named(), evidence: attestedBy("lifted", "x") });
    const before = await makeCertificate(db, rests());
    const of = ordered("grant", "lifted");
    await store.begin(of, new Date());
    await progress.close(of.id);
    const suspensions = createSuspensionStore(db);
    const open = (await suspensions.list(true, undefined, 100)).find(({ subject }) => subject === "lifted");
    t.match(open, { kind: "grant", action: of.id, createdBy: "operator" });
    t.match(await suspensions.lift(open?.id ?? ""), { liftedBy: "operator" });
    t.equal(await suspensions.lift(randomUUID()), undefined);
    const after = await makeCertificate(db, { ...(await ofAccount()), ...rests() });
    while ((await progress.step(revocation2(of), 100)) === "running");
    t.ok(await isRevoked(before));
    t.notOk(await isRevoked(after));
  },
);

t.test("what was renewed by possession rests on the source of its lineage's first certificate", async (t) => {
  const first = await makeCertificate(db, { ...named(), evidence: attestedBy("a", "platform-1") });
  const renewed = await makeCertificate(db, { ...named(), evidence: attestedBy("a", "held") });
  await query(db, "update certificate set lineage = $2 where serial = $1", [renewed.serial, first.serial]);
  await revoke(ordered("source", "platform-1"));
  t.ok(await isRevoked(renewed));
});

t.test("two processes at one action share it", async (t) => {
  const id = named();
  for (let i = 0; i < 40; i++) await makeCertificate(db, id);
  const of = ordered("identity", id.identityName ?? "");
  await store.begin(of, new Date());
  await progress.close(of.id);
  const outcomes = await Promise.all(Array.from({ length: 30 }, () => progress.step(revocation2(of), 5)));
  while ((await progress.step(revocation2(of), 5)) === "running");
  t.ok(outcomes.includes("running"));
  t.match(await store.read(of.id), { state: "done", revoked: 40, revokedBefore: 0 });
});
