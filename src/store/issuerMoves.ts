/** Moves of issuers: implements `RotationStore` of the authority. */
import type { RotationStore } from "../authority/rotationPorts.ts";
import { statement, violatedConstraint, type Database, type Statement } from "./database.ts";
import { createIssuerStore, issuerColumns, issuerRows, issuerValues } from "./issuers.ts";

/** The change of `moved` with its audit entry and its event. `$n` is who did it. */
const told = (moved: string, event: string, actor: string): string => {
  const what = `jsonb_build_object('kind', kind, 'name', name, 'generation', generation)`;
  return `${event}_audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'issuer.${event}', ${actor}, 'issuer:' || id, ${what} from ${moved}
   ), ${event}_told as (
     insert into outbox (topic, payload) select 'issuer.${event}', ${what} || jsonb_build_object('id', id) from ${moved}
   )`;
};
const columns = "id, kind, name, generation";

const insertNext = statement(
  "issuer_insert_next",
  `with moved as (
     insert into issuer (${issuerColumns}, published_at, activated_at)
     select i.*, case when i.state <> 'prepared' then now() end, case when i.state = 'active' then now() end from ${issuerRows}
     returning ${columns}
   ), ${told("moved", "prepared", "$14")}
   select id from moved`,
);

const publish = statement(
  "issuer_publish",
  `with moved as (
     update issuer set state = 'published', published_at = now()
     where id = $1 and state = 'prepared' and certificate is not null
     returning ${columns}
   ), ${told("moved", "published", "$2")}
   select id from moved`,
);

// The row of the one before is taken by one alone: of two that activate at once, the second finds it retiring and does nothing. Where there
// is no such row, the index of active issuers decides.
const activate = statement(
  "issuer_activate",
  `with next as (
     select id, kind, name from issuer
     where id = $1 and certificate is not null
       and (state = 'published' and published_at <= now() - make_interval(secs => $3)
            or $3 is null and state in ('prepared', 'published'))
     for update
   ), previous as (
     update issuer p set state = 'retiring', retiring_at = now() from next n
     where p.id = $2 and p.state = 'active' and p.kind = n.kind and p.name = n.name
     returning p.id, p.kind, p.name, p.generation
   ), moved as (
     update issuer i set state = 'active', activated_at = now(), published_at = coalesce(i.published_at, now()) from next n
     where i.id = n.id
       and (exists (select from previous)
            or $2::uuid is null and not exists (
              select from issuer a where a.kind = n.kind and a.name = n.name and a.state = 'active'))
     returning i.id, i.kind, i.name, i.generation
   ), ${told("previous", "retiring", "$4")}, ${told("moved", "active", "$4")}
   select id from moved`,
);

const stop = statement(
  "issuer_stop",
  `with moved as (
     update issuer set state = 'retiring', retiring_at = now() where id = $1 and state = 'active' returning ${columns}
   ), ${told("moved", "retiring", "$2")}
   select id from moved`,
);

// A retiring issuer's certificates end first: walked from now on, one that counts is found at once. `limit $4`, of which the planner knows
// nothing and which is null, makes it walk: a plan from when there were few certificates would first collect all that have not ended.
export const retire = statement(
  "issuer_retire",
  `with recursive below as (
     select id, kind, state from issuer where parent_id = $1
     union
     select c.id, c.kind, c.state from issuer c join below b on c.parent_id = b.id
   ), moved as (
     update issuer i set state = 'retired', retired_at = now()
     where i.id = $1 and i.state = 'retiring' and ($3 or i.not_after < now() or (
       not exists (select from below where kind = 'issuing' and state <> 'retired')
       and not exists (
         select from (select issuer_id from certificate where not_after > now() order by not_after limit $4::bigint) c where c.issuer_id = $1)
       and not exists (select from issuance_intent where issuer_id = $1 and abandoned_at is null)))
     returning ${columns}
   ), ${told("moved", "retired", "$2")}
   select id from moved`,
);

const discard = statement(
  "issuer_discard",
  `with moved as (
     update issuer set state = 'retired', retired_at = now() where id = $1 and state in ('prepared', 'published') returning ${columns}
   ), ${told("moved", "retired", "$2")}
   select id from moved`,
);

const lastEnd = statement(
  "issuer_last_end",
  `select greatest(
     (select not_after from certificate where issuer_id = $1 and not_after > now() order by not_after desc limit 1),
     (select max(not_after) from issuance_intent where issuer_id = $1 and abandoned_at is null and not_after > now())) as last_end`,
);

// From now on, and of the revocations those of these certificates alone.
export const outstanding = statement(
  "issuer_outstanding",
  `select count(*) as count from certificate c
   where c.issuer_id = $1 and c.not_after > now() and not exists (select from revocation r where r.serial = c.serial offset 0)`,
);

/** Implements `RotationStore`. */
export function createRotationStore(db: Database): RotationStore {
  const issuers = createIssuerStore(db);
  const moved = async (move: Statement, values: readonly unknown[]): Promise<boolean> => {
    try {
      return (await db.run(move, values)).length === 1;
    } catch (error) {
      // Somebody else was faster to that generation, or has another one active.
      const violated = violatedConstraint(error);
      if (violated === "issuer_generation" || violated === "issuer_one_active") return false;
      throw error;
    }
  };
  return {
    readIssuers: () => issuers.readIssuers(),
    exclusively: (action) => issuers.exclusively(action),
    insertNext: (issuer, actor) => moved(insertNext, [...issuerValues([issuer]), actor]),
    publish: (id, actor) => moved(publish, [id, actor]),
    activate: ({ id, previous, publishedSeconds, actor }) => moved(activate, [id, previous, publishedSeconds, actor]),
    stop: (id, actor) => moved(stop, [id, actor]),
    retire: (id, actor, anyway) => moved(retire, [id, actor, anyway, null]),
    discard: (id, actor) => moved(discard, [id, actor]),
    lastEnd: async (id) => (await db.run<{ last_end: Date | null }>(lastEnd, [id]))[0]?.last_end ?? null,
    outstanding: async (id) => (await db.run<{ count: number }>(outstanding, [id]))[0]?.count ?? 0,
  };
}
