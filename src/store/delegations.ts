/** Delegations in Postgres: what is known of them, what was issued under them, and their end. */
import type { DelegationStore, EndedDelegation, EndedSubject } from "../administration/delegationPorts.ts";
import { isInformed } from "./revocationInformation.ts";
import { revokeAll } from "./revocations.ts";
import { statement, type Database } from "./database.ts";

const know = statement(
  "delegation_know",
  `with made as (
     insert into delegation_subject (pseudonym, kind, source)
     select d.pseudonym, d.kind, $1 from unnest($2::bytea[], $3::text[]) as d(pseudonym, kind) order by d.pseudonym
     on conflict do nothing
   )
   select true as ended from delegation_subject where pseudonym = any($2) and ended_at is not null
   union all
   select false from (values ($4::bytea, $5::bytea)) as ours(first, last)
   where exists (select from delegation_subject where ended_at is not null and (pseudonym < ours.first or pseudonym > ours.last))`,
);

// A row that is there already for another reason keeps the earlier end.
const markEnded = statement(
  "delegation_end",
  `with ended as (
     insert into delegation_subject (pseudonym, kind, source, ended_at, ended_reason) values ($1, $2, $3, now(), $4)
     on conflict (pseudonym) do update set ended_at = now(), ended_reason = excluded.ended_reason
       where delegation_subject.ended_at is null
     returning kind, source
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'delegation.ended', 'operator', 'delegation:' || source, jsonb_build_object('kind', kind, 'pseudonym', encode($1, 'hex'), 'reason', $4::text)
     from ended
   )
   insert into outbox (topic, payload)
   select 'delegation.ended', jsonb_build_object('kind', kind, 'source', source, 'pseudonym', encode($1, 'hex'), 'reason', $4::text) from ended`,
);

const resume = statement(
  "delegation_resume",
  `with resumed as (
     update delegation_subject set ended_at = null, ended_reason = null where pseudonym = $1 and ended_at is not null returning kind, source
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'delegation.resumed', 'operator', 'delegation:' || source, jsonb_build_object('kind', kind, 'pseudonym', encode($1, 'hex')) from resumed
   )
   select kind from resumed`,
);

const listEnded = statement(
  "delegation_list_ended",
  `select kind, source, pseudonym, ended_reason as reason, ended_at as "endedAt" from delegation_subject
   where ended_at is not null and ($1::bytea is null or pseudonym > $1) order by pseudonym limit $2`,
);

/** Of a pseudonym, $1: certificates that have not expired at $2 and are not revoked. */
const inForce = `select c.serial, c.issuer_id, c.not_after, c.issued_at, i.name, ${isInformed("c")} as informed from certificate_delegation d join certificate c on c.serial = d.serial
     join identity i on i.id = c.identity_id
   where (d.delegator = $1 or d.task = $1) and c.not_after > $2 and not exists (select from revocation r where r.serial = c.serial)`;

const coverage = statement(
  "delegation_coverage",
  `with covered as (${inForce})
   select count(*) as certificates, array(select serial from covered order by issued_at desc, serial limit 10) as serials from covered`,
);

// cessationOfOperation (RFC 5280 §5.3.1): the task is over, and no key need be lost. 3 action · 4 its kind · 5 source · 6 note
const revoke = statement(
  "delegation_revoke",
  `with covered as (${inForce}), revoked as (
     ${revokeAll("covered", { reason: "5", by: "'operator:delegation'", action: "$3", once: "on conflict do nothing" })}
   ), action as (
     insert into revocation_action (id, kind, subject, delegation_source, reason, note, created_by, state, closed_at, done_at, revoked,
                                    uninformed, uninformed_end, informed_end)
     select $3, $4, encode($1, 'hex'), $5, 5, $6, 'operator', 'done', now(), now(), count(r.serial), count(*) filter (where not informed),
            max(c.not_after) filter (where not informed), max(c.not_after) filter (where informed)
     from covered c left join revoked r on r.serial = c.serial
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'certificate.revoked', 'operator', 'certificate:' || encode(revoked.serial, 'hex'), jsonb_build_object('reason', 5, 'identity', covered.name)
     from revoked join covered using (serial)
   ), event as (
     insert into outbox (topic, payload)
     select 'certificate.revoked', jsonb_build_object('serial', encode(revoked.serial, 'hex'), 'reason', 5) from revoked
   )
   select serial from revoked`,
);

const madeOtherwise = statement(
  "delegation_made_otherwise",
  `select count(*) as subjects from delegation_subject where substring(pseudonym for 4) <> $1`,
);

/** Condition of the statement that makes an intent, whose evidence is this parameter: nothing on whose behalf it is has been ended. */
export const delegationLives = (evidence: string): string =>
  `not exists (
         select from jsonb_path_query(${evidence}::jsonb, '$[*].proved.record.delegation') as d
         join delegation_subject s on s.pseudonym in (decode(d ->> 'delegator', 'hex'), decode(d ->> 'task', 'hex'))
         where s.ended_at is not null)`;

/**
 * CTEs of the statement that records a certificate, whose `intent` is the row of the intent: on whose behalf it is. Where a delegation was
 * ended since the intent was made, `subjects` tells: the certificate is revoked as it is recorded (`bornRevoked.ts`).
 */
export const recordDelegation = `delegated as (
     select intent.serial, intent.identity_name, d ->> 'source' as source, decode(d ->> 'reference', 'hex') as reference,
            decode(d ->> 'delegator', 'hex') as delegator, decode(d ->> 'task', 'hex') as task, (d ->> 'expires')::timestamptz as expires_at
     from intent, jsonb_path_query_first(intent.evidence, '$[*].proved.record.delegation') as d
     where d is not null
   ), subjects as (
     select s.ended_at from delegation_subject s
     where s.pseudonym in (select delegator from delegated union all select task from delegated) for share
   ), delegations as (
     insert into certificate_delegation (serial, source, reference, delegator, task, expires_at)
     select serial, source, reference, delegator, task, expires_at from delegated
   )`;

/** How many people and tasks have pseudonyms of another key than the one with this mark. */
export async function countMadeOtherwise(db: Database, mark: Buffer): Promise<number> {
  const [row] = await db.run<{ subjects: number }>(madeOtherwise, [mark]);
  return row?.subjects ?? 0;
}

/** What ends a pseudonym behind the mark of its key, at most. */
const highest = Buffer.alloc(32, 0xff);

/**
 * Makes these known, and tells whether one of them is ended. Undefined where that cannot be told: something was ended by a pseudonym of another
 * key, and might be one of these.
 */
export async function knowDelegation(
  db: Database,
  source: string,
  subjects: readonly { pseudonym: Buffer; kind: "delegator" | "task" }[],
): Promise<boolean | undefined> {
  const pseudonyms = subjects.map(({ pseudonym }) => pseudonym);
  const mark = pseudonyms[0]?.subarray(0, 4) ?? Buffer.alloc(0);
  const values = [source, pseudonyms, subjects.map(({ kind }) => kind), mark, Buffer.concat([mark, highest])];
  const rows = await db.run<{ ended: boolean }>(know, values);
  if (rows.some(({ ended }) => ended)) return true;
  return rows.length > 0 ? undefined : false;
}

/** Implements `DelegationStore`. */
export function createDelegationStore(db: Database): DelegationStore {
  return {
    async coverage(pseudonym, now) {
      const [row] = await db.run<{ certificates: number; serials: Buffer[] }>(coverage, [pseudonym, now]);
      return row ?? { certificates: 0, serials: [] };
    },
    async end({ id, kind, source, pseudonym, reason }, now): Promise<EndedDelegation> {
      await db.run(markEnded, [pseudonym, kind, source, reason]);
      // A statement of its own: what was being recorded while the mark was set is there to be seen only now.
      const revoked = await db.run<{ serial: Buffer }>(revoke, [pseudonym, now, id, kind, source, reason]);
      return { revoked: revoked.map(({ serial }) => serial) };
    },
    listEnded: (after, limit) => db.run<EndedSubject>(listEnded, [after ?? null, limit]),
    resume: async (pseudonym) => (await db.run(resume, [pseudonym])).length === 1,
  };
}
