/**
 * How a revocation that was begun is carried out: implements `RevocationProgress` of the authority. Every statement holds the action's row, so
 * that it does not matter how many processes are at it, or whether one of them ends in between.
 */
import type { RevocationKind } from "../administration/revocationPorts.ts";
import type { RevocationProgress } from "../authority/revocationPorts.ts";
import { statement, type Database } from "./database.ts";
import { quarantineFrom } from "./quarantines.ts";
import { blockFrom } from "./revocationBeginnings.ts";
import { isInformed } from "./revocationInformation.ts";
import { coversIntent, nextCertificates, pathOf, selectionPaths, type SelectionPath } from "./revocationSelection.ts";
import { revokeAll } from "./revocations.ts";
import type { ActionRow } from "./revocationActions.ts";

// A statement that began before the action was there may not have seen it. Whoever is in a transaction has a lock on its virtual id, which
// everybody may see; what goes on in other databases does not matter, and neither do those that clean up.
const underWay = statement(
  "revocation_transactions",
  `select l.virtualtransaction as id from pg_locks l join pg_stat_activity s on s.pid = l.pid
   where l.locktype = 'virtualxid' and l.granted and l.pid <> pg_backend_pid()
     and s.datid = (select oid from pg_database where datname = current_database())
     and coalesce(s.backend_type, 'client backend') = 'client backend'`,
);

const close = statement(
  "revocation_close",
  `with x as (
     select * from revocation_action where id = $1 and closed_at is null for update
   ), caught as (
     update issuance_intent i set action_id = x.id from x
     where i.abandoned_at is null and i.action_id is null and ${coversIntent("x", "i")} returning i.serial
   )
   update revocation_action a set closed_at = clock_timestamp(), tried_at = now(), caught = (select count(*) from caught)
   from x where a.id = x.id`,
);

// 1 action · 2 how many. `offset 0`: rows are looked up one by one; a plan from when there were few would read all that was ever revoked, each
// time. What is covered and was recorded after the action was closed is nothing of its business: somebody let it be issued again. What was revoked
// as it was recorded counts as revoked by the action, and what somebody else revoked at the same moment does not.
const stepOf = (path: SelectionPath): string =>
  `with a as (
     select * from revocation_action where id = $1 and state = 'running' and closed_at is not null for update skip locked
   ), page as materialized (
     select c.* from a, lateral (${nextCertificates(path, "$2")}) c
   ), covered as materialized (
     select p.*, r.serial is not null as before, coalesce(r.action_id = a.id, false) as born, ${isInformed("p")} as informed
     from a, page p left join lateral (select serial, action_id from revocation where serial = p.serial offset 0) r on true
     where p.covered and p.issued_at <= a.closed_at
   ), fresh as (
     select serial, issuer_id, not_after from covered where not before
   ), revoked as (
     ${revokeAll("fresh", { reason: "(select reason from a)", by: "'operator'", action: "$1", once: "on conflict do nothing" })}
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'certificate.revoked', 'operator', 'certificate:' || encode(serial, 'hex'), jsonb_build_object('reason', reason, 'action', $1::uuid)
     from revoked
   ), event as (
     insert into outbox (topic, payload)
     select 'certificate.revoked', jsonb_build_object('serial', encode(serial, 'hex'), 'reason', reason, 'by', 'operator', 'action', $1::uuid)
     from revoked
   ), named as (
     select distinct i.name, a.note
     from a, (select distinct identity_id from covered) c, lateral (select name from identity where id = c.identity_id offset 0) i
     where a.quarantine order by i.name
   ), ${quarantineFrom("named", "named.name", "named.note", "'operator'")}, keys as (
     select distinct c.spki_sha256, a.reason, a.note from a, covered c where a.block_keys order by c.spki_sha256
   ), ${blockFrom("keys")}, counted as materialized (
     select not_after, informed, born or serial in (select serial from revoked) as ours from covered
   ), last as (
     select not_after, serial from page order by not_after desc, serial desc limit 1
   ), moved as (
     update revocation_action x set tried_at = now(),
       cursor_not_after = coalesce((select not_after from last), x.cursor_not_after),
       cursor_serial = coalesce((select serial from last), x.cursor_serial),
       looked_at = x.looked_at + (select count(*) from page),
       revoked = x.revoked + (select count(*) from counted where ours),
       revoked_before = x.revoked_before + (select count(*) from counted where not ours),
       quarantined = x.quarantined + (select count(*) from made),
       blocked = x.blocked + (select count(*) from blocked),
       uninformed = x.uninformed + (select count(*) from counted where ours and not informed),
       uninformed_end = greatest(x.uninformed_end, (select max(not_after) from counted where ours and not informed)),
       informed_end = greatest(x.informed_end, (select max(not_after) from counted where ours and informed)),
       state = case when (select count(*) from page) < $2 then 'done' else 'running' end,
       done_at = case when (select count(*) from page) < $2 then now() end
     from a where x.id = a.id returning x.*
   ), done_audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'revocation.done', created_by, kind || ':' || subject, jsonb_build_object('action', id, 'revoked', revoked) from moved where state = 'done'
   ), done_event as (
     insert into outbox (topic, payload)
     select 'revocation.done', jsonb_build_object('action', id, 'kind', kind, 'subject', subject, 'revoked', revoked) from moved where state = 'done'
   )
   select state from moved`;

/** Statement by way. */
export const revocationSteps = Object.fromEntries(
  selectionPaths.map((path) => [path, statement(`revocation_step_${path}`, stepOf(path))]),
) as Readonly<Record<SelectionPath, ReturnType<typeof statement>>>;

const left = statement(
  "revocation_left",
  `select id, kind, subject, closed_at as "closedAt" from revocation_action where state = 'running' and tried_at < $1 order by tried_at limit 100`,
);

export function createRevocationProgress(db: Database): RevocationProgress {
  return {
    transactions: async () => (await db.run<{ id: string }>(underWay, [])).map(({ id }) => id),
    close: async (id) => void (await db.run(close, [id])),
    async step({ id, kind, subject }, most) {
      const [row] = await db.run<Pick<ActionRow, "state">>(
        revocationSteps[pathOf({ kind: kind as RevocationKind, subject })],
        [id, most],
      );
      return row?.state ?? "taken";
    },
    left: (before) => db.run(left, [before]),
  };
}
