/** Certificates that are revoked by the statement that records them: their intents are older than what would have prevented them. */
import { coversIntent } from "./revocationSelection.ts";
import { revokeAll } from "./revocations.ts";

/**
 * CTEs of the statement that records a certificate. `intent` is the row of the intent, `recorded` the certificate, `subjects` are those on whose
 * behalf it is. A signature cannot be undone: nothing that was signed is left out of the inventory, and of the lists of what is revoked.
 */
export const bornRevoked = `causes as (
     select x.id as action, x.reason, 'operator' as by from intent i join revocation_action x on x.id = i.action_id
     union all
     select x.id, x.reason, 'operator' from intent i, revocation_action x where x.closed_at is null and ${coversIntent("x", "i")}
     union all
     select null, 5, 'operator:delegation' where exists (select from subjects where ended_at is not null)
     union all
     select null, case k.reason when 'keyCompromise' then 1 end, k.blocked_by from intent i join blocked_key k on k.spki_sha256 = i.spki_sha256
   ), cause as (
     select * from causes order by action nulls last limit 1
   ), born_revoked as (
     ${revokeAll("(select recorded.* from recorded, cause)", { reason: "(select reason from cause)", by: "(select by from cause)", action: "(select action from cause)" })}
   ), born_revoked_audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'certificate.revoked', 'operator', 'certificate:' || encode(serial, 'hex'),
            jsonb_build_object('reason', born_revoked.reason, 'action', cause.action) from born_revoked, cause
   ), born_revoked_event as (
     insert into outbox (topic, payload)
     select 'certificate.revoked', jsonb_build_object('serial', encode(serial, 'hex'), 'reason', born_revoked.reason, 'by', cause.by,
                                                      'action', cause.action) from born_revoked, cause
   )`;
