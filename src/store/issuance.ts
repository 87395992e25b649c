/** The ledger of issuance: implements `IssuanceLedger` of the authority. Two statements per certificate. */
import type { IssuanceLedger, NotIntended, OpenIntent, RefusedIssuance } from "../authority/ports.ts";
import { isBlocked, isKeyBlocked } from "./blockedKeys.ts";
import { bornRevoked } from "./bornRevoked.ts";
import { byKeyReuse, keyConstraint } from "./certificateKeys.ts";
import { recordDelegation } from "./delegations.ts";
import { statement, violatedConstraint, type Database } from "./database.ts";
import { insertIntent, intentValues, isAuthorized, issuerIssues, mayIntend } from "./intents.ts";
import {
  advance,
  giveBack,
  isRevoked,
  platformStands,
  renewalValues,
  renewedColumns,
  shownSerial,
} from "./lineages.ts";
import { isIdentityQuarantined, isQuarantined } from "./quarantines.ts";
import { isOf } from "./signer.ts";
import { isSuspended } from "./suspensions.ts";

const intend = byKeyReuse(
  "issuance_intend",
  (keyed) => `with moved as (
     update acme_order o set status = 'processing'
     where o.id = $5 and ${isOf("o", "$6")} and o.status = 'ready' and o.expires_at > now() and ${mayIntend}
       and ${isAuthorized("o")}
     returning o.id, o.replaces
   )${keyed}
   ${insertIntent("moved")}`,
);

// The same for a renewal by possession. The order's row is locked first and moved only where the lineage's row lets this certificate be its
// newest; no row where the order is not ready.
const intendRenewal = byKeyReuse(
  "issuance_intend_renewal",
  (keyed) => `with ready as (
     select o.id, o.replaces, p.not_after as previous_ends, ${isRevoked} as revoked
     from acme_order o join certificate p on p.serial = ${shownSerial}
     where o.id = $5 and ${isOf("o", "$6")} and o.status = 'ready' and o.expires_at > now() and ${mayIntend}
       and ${platformStands} and ${isAuthorized("o")}
     for update of o
   ), ${advance}${keyed}, intended as (
     ${insertIntent("moved", renewedColumns)}
   )
   select case when revoked then 'revoked' when exists (select from intended) then 'intended' else 'cloned' end as outcome from ready`,
);

const issues = statement("issuance_issuer", `select ${issuerIssues("$1")} as issues`);

const record = statement(
  "issuance_record",
  `with intent as (
     delete from issuance_intent where serial = $1 and abandoned_at is null returning *
   ), identified as (
     insert into identity (id, kind, name, first_issued_at, last_issued_at, newest_serial)
     select gen_random_uuid(), identity_kind, identity_name, now(), now(), serial from intent
     on conflict (name) do update set
       last_issued_at = excluded.last_issued_at,
       certificate_count = identity.certificate_count + 1,
       newest_serial = excluded.newest_serial
     returning id
   ), recorded as (
     insert into certificate (serial, fingerprint, der, issuer_id, identity_id, door, order_id, account_id, spiffe_id, dns_names,
                              ip_addresses, profile, profile_hash, spki_sha256, evidence, not_before, not_after, replaces, issued_at,
                              permanent_identifier, lineage, renewed_from)
     select serial, sha256($2), $2, issuer_id, identified.id, door, order_id, account_id, spiffe_id, dns_names,
            ip_addresses, profile, profile_hash, spki_sha256, evidence, not_before, not_after, replaces,
            date_trunc('milliseconds', now()), permanent_identifier, lineage, renewed_from
     from intent, identified
     returning serial, issuer_id, not_after
   ), ${recordDelegation}, ${bornRevoked}, orders as (
     update acme_order o set status = 'valid', certificate_serial = intent.serial
     from intent where o.id = intent.order_id and o.status = 'processing'
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'certificate.issued', coalesce('account:' || account_id, 'door:' || door), 'certificate:' || encode(serial, 'hex'),
            jsonb_build_object('identity', identity_name, 'profile', profile, 'notAfter', not_after)
     from intent
   ), event as (
     insert into outbox (topic, payload)
     select 'certificate.issued', jsonb_build_object('serial', encode(serial, 'hex'), 'identity', identity_name,
                                                     'profile', profile, 'door', door, 'notAfter', not_after)
     from intent
   )
   select serial from recorded`,
);

// Taking an intent marks it as tried: one that fails goes behind all others, and no second process takes it meanwhile.
const openIntents = statement(
  "issuance_open_intents",
  `with taken as (
     update issuance_intent set tried_at = now() where serial in (
       select serial from issuance_intent
       where abandoned_at is null and tried_at < $1 order by tried_at limit $2 for update skip locked
     )
     returning serial, tbs, issuer_id, order_id, not_after, created_at, identity_name, action_id, spki_sha256
   )
   select serial, tbs, issuer_id, order_id, not_after, ${isQuarantined("identity_name")} as quarantined, action_id is not null
       or exists (select from issuer i where i.id = taken.issuer_id and i.revoked_at is not null) as revoked,
     ${isBlocked("taken.spki_sha256")} as blocked
   from taken order by created_at`,
);

const abandon = statement(
  "issuance_abandon",
  `with ended as (
     update issuance_intent set abandoned_at = now() where serial = $1 and abandoned_at is null returning *
   ), orders as (
     update acme_order o set status = 'invalid', error = $3 from ended where o.id = ended.order_id and o.status = 'processing'
   ), lineages as (
     ${giveBack("ended")}
   )
   insert into audit_entry (event, actor, subject, detail)
   select 'issuance.abandoned', 'job:settle', 'certificate:' || encode(serial, 'hex'),
          jsonb_build_object('identity', identity_name, 'reason', $2::text)
   from ended`,
);

const refuse = statement(
  "issuance_refuse",
  `with orders as (
     update acme_order set status = 'invalid', error = $3 where id = $1 and account_id = $2 and status in ('ready', 'processing')
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     values ('issuance.refused', $5, 'certificate:' || encode($4::bytea, 'hex'), $6::jsonb)
   )
   insert into outbox (topic, payload)
   values ('issuance.refused', $6::jsonb || jsonb_build_object('serial', encode($4::bytea, 'hex')))`,
);

const refuseIntent = statement(
  "issuance_refuse_intent",
  `with ended as (
     update issuance_intent set abandoned_at = now() where serial = $1 and abandoned_at is null returning *
   ), orders as (
     update acme_order o set status = 'invalid', error = $2 from ended where o.id = ended.order_id and o.status = 'processing'
   ), lineages as (
     ${giveBack("ended")}
   ), facts as (
     select serial, $3::jsonb || jsonb_build_object('identity', identity_name, 'profile', profile, 'profileHash', encode(profile_hash, 'hex'),
       'issuer', issuer_id, 'door', door, 'order', order_id, 'account', account_id, 'key', encode(spki_sha256, 'hex')) as detail
     from ended
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'issuance.refused', 'job:settle', 'certificate:' || encode(serial, 'hex'), detail from facts
   )
   insert into outbox (topic, payload)
   select 'issuance.refused', detail || jsonb_build_object('serial', encode(serial, 'hex')) from facts`,
);

/** What the order says: our own fault, and no detail that would help whoever provoked it. */
const stopped = {
  type: "urn:ietf:params:acme:error:serverInternal",
  status: 500,
  detail: "the certificate could not be issued",
};

const detailOf = ({ findings, tbsSha256, ...facts }: RefusedIssuance): string =>
  JSON.stringify({
    findings,
    tbsSha256: tbsSha256.toString("hex"),
    identity: facts.identityName,
    profile: facts.profile,
    profileHash: facts.profileHash.toString("hex"),
    issuer: facts.issuerId,
    door: facts.door,
    order: facts.orderId,
    account: facts.accountId,
    key: facts.spkiSha256.toString("hex"),
  });

interface IntentRow {
  serial: Buffer;
  tbs: Buffer;
  issuer_id: string;
  order_id: string | null;
  not_after: Date;
  quarantined: boolean;
  revoked: boolean;
  blocked: boolean;
}

/** Implements `IssuanceLedger`: one statement per method. */
export function createIssuanceLedger(db: Database): IssuanceLedger {
  return {
    async intend(intent) {
      const { renewal, keyReuse } = intent;
      try {
        const rows =
          renewal === null || renewal === undefined
            ? (await db.run(intend[keyReuse], intentValues(intent))).map(() => ({ outcome: "intended" }) as const)
            : await db.run<{ outcome: "intended" | NotIntended }>(intendRenewal[keyReuse], [
                ...intentValues(intent),
                ...renewalValues(renewal),
              ]);
        if (rows[0] !== undefined) return rows[0].outcome;
      } catch (error) {
        if (violatedConstraint(error) === keyConstraint) return "keyIsUsed";
        throw error;
      }
      if (await isIdentityQuarantined(db, intent.identityName)) return "quarantined";
      if (await isSuspended(db, intent)) return "suspended";
      if (await isKeyBlocked(db, intent.spkiSha256)) return "keyIsBlocked";
      const [issuer] = await db.run<{ issues: boolean }>(issues, [intent.issuerId]);
      return issuer?.issues === true ? "notReady" : "notIssuing";
    },
    record: async (serial, certificate) => (await db.runGrouped(record, [serial, certificate])).length === 1,
    async openIntents(before, limit): Promise<OpenIntent[]> {
      const rows = await db.run<IntentRow>(openIntents, [before, limit]);
      return rows.map((row) => ({
        serial: row.serial,
        tbs: row.tbs,
        issuerId: row.issuer_id,
        orderId: row.order_id,
        notAfter: row.not_after,
        quarantined: row.quarantined,
        revoked: row.revoked,
        blocked: row.blocked,
      }));
    },
    async abandon(serial, reason) {
      const error = {
        type: "urn:ietf:params:acme:error:serverInternal",
        status: 500,
        detail: `issuance was interrupted and could not be finished: ${reason}`,
      };
      await db.run(abandon, [serial, reason, JSON.stringify(error)]);
    },
    async refuse(refused) {
      await db.run(refuse, [
        refused.orderId,
        refused.accountId,
        JSON.stringify(stopped),
        refused.serial,
        refused.accountId === null ? `door:${refused.door}` : `account:${refused.accountId}`,
        detailOf(refused),
      ]);
    },
    async refuseIntent(serial, { findings, tbsSha256 }) {
      const detail = JSON.stringify({ findings, tbsSha256: tbsSha256.toString("hex") });
      await db.run(refuseIntent, [serial, JSON.stringify(stopped), detail]);
    },
  };
}
