/**
 * How a revocation begins: the action, and whatever would issue more of what it covers, stopped in the same statement. One statement for each
 * kind, because each has another table that says no.
 */
import type { RevocationKind } from "../administration/revocationPorts.ts";
import { statement, type Statement } from "./database.ts";
import { deactivation } from "./deactivation.ts";
import { quarantineFrom } from "./quarantines.ts";
import { coversCertificate, coversIntent } from "./revocationSelection.ts";

// 1 id · 2 kind · 3 subject · 4 delegation source · 5 reason · 6 note · 7 quarantine · 8 block keys · 9 where the walk begins
// 10 how many may have come since they were counted, null for any number · 11 what was issued by then was counted
/**
 * Whether what has come since the count is no more than may have: what is recorded, and what is under way. So nothing lies between count and stop
 * but an intent whose statement runs at the same moment as this one.
 */
const withinCount = `($10::integer is null or $10 >=
     (select count(*) from (values ($2::text, $3::text)) x(kind, subject), issuance_intent i
      where i.abandoned_at is null and ${coversIntent("x", "i")})
   + (select count(*) from (values ($2::text, $3::text)) x(kind, subject),
        (select serial, identity_id, spki_sha256, account_id, issuer_id, evidence, lineage, not_after
         from certificate where issued_at > $11 offset 0) c
      where c.not_after > $9 and ${coversCertificate("x", "c")}
        and not exists (select from revocation r where r.serial = c.serial offset 0)))`;

const action = (closedAt = "null"): string => `action as (
     insert into revocation_action (id, kind, subject, delegation_source, reason, note, quarantine, block_keys, created_by, cursor_not_after, closed_at)
     select $1::uuid, $2::text, $3::text, $4::text, $5::smallint, $6::text, $7::boolean, $8::boolean, 'operator', $9::timestamptz, ${closedAt}
     where ${withinCount} returning *
   ), action_audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'revocation.ordered', created_by, kind || ':' || subject, jsonb_build_object('action', id, 'reason', reason, 'note', note) from action
   ), action_event as (
     insert into outbox (topic, payload)
     select 'revocation.ordered', jsonb_build_object('action', id, 'kind', kind, 'subject', subject, 'reason', reason, 'note', note,
                                                     'by', created_by) from action
   )`;

/** Blocks keys: `from` has `spki_sha256`, `reason` and `note`. CTEs; `blocked` has those that were not blocked before. */
export const blockFrom = (from: string): string => `blocked as (
     insert into blocked_key (spki_sha256, reason, note, blocked_by)
     select spki_sha256, case when reason = 1 then 'keyCompromise' else 'operator' end, note, 'operator' from ${from}
     on conflict (spki_sha256) do nothing returning spki_sha256, reason
   ), blocked_audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'key.blocked', 'operator', 'key:' || encode(spki_sha256, 'hex'), jsonb_build_object('reason', reason, 'action', $1::uuid) from blocked
   )`;

/** What never ends by itself is suspended; one that is already stays as it is. */
const suspended = `suspended as (
     insert into issuance_suspension (id, kind, subject, action_id, created_by) select id, kind, subject, id, created_by from action
     on conflict (kind, subject) where lifted_at is null do nothing returning kind, subject
   ), suspended_audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'issuance.suspended', 'operator', kind || ':' || subject, jsonb_build_object('action', $1::uuid) from suspended
   ), suspended_event as (
     insert into outbox (topic, payload)
     select 'issuance.suspended', jsonb_build_object('kind', kind, 'subject', subject, 'action', $1::uuid) from suspended
   )`;

// A delegation that is ended already keeps the earlier end.
const ended = `ended as (
     insert into delegation_subject (pseudonym, kind, source, ended_at, ended_reason)
     select decode(subject, 'hex'), kind, delegation_source, now(), note from action
     on conflict (pseudonym) do update set ended_at = now(), ended_reason = excluded.ended_reason
       where delegation_subject.ended_at is null
     returning kind, source, pseudonym
   ), ended_audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'delegation.ended', 'operator', 'delegation:' || source,
            jsonb_build_object('kind', kind, 'pseudonym', encode(pseudonym, 'hex'), 'reason', $6::text, 'action', $1::uuid) from ended
   ), ended_event as (
     insert into outbox (topic, payload)
     select 'delegation.ended', jsonb_build_object('kind', kind, 'source', source, 'pseudonym', encode(pseudonym, 'hex'), 'reason', $6::text)
     from ended
   )`;

const keyOfAction = "(select decode(subject, 'hex') as spki_sha256, reason, note from action) k";
const identityOfAction = quarantineFrom("action", "action.subject", "action.note", "'operator'");

/** What stops the issuing of more, by kind. */
const stops: Readonly<Record<Exclude<RevocationKind, "certificate">, string>> = {
  identity: identityOfAction,
  key: blockFrom(keyOfAction),
  account: deactivation("a.id = (select subject::uuid from action)", "a.id", "'operator'", "revoked"),
  grant: suspended,
  source: suspended,
  issuer: suspended,
  task: ended,
  delegator: ended,
};

const beginning = (kind: RevocationKind, ctes: string): Statement =>
  statement(`revocation_begin_${kind}`, `with ${ctes} select * from action`);

const kinds = Object.keys(stops) as (keyof typeof stops)[];

/** Statement by kind. Of one certificate there are no more to come, so that its action is closed from the beginning. */
export const beginnings = Object.fromEntries([
  ["certificate", beginning("certificate", action("now()"))],
  ...kinds.map((kind) => [kind, beginning(kind, `${action()}, ${stops[kind]}`)]),
]) as Readonly<Record<RevocationKind, Statement>>;
