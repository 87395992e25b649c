/** OCSP responses, kept for all processes: implements `OcspResponseStore` of the authority. */
import type { DueResponse, OcspResponseStore, RecordedStatus } from "../authority/ocspPorts.ts";
import { statement, type Database } from "./database.ts";

/** What a row says must be what the revocation says: from the moment that one is committed, a response that says `good` is none. */
const find = statement(
  "ocsp_find",
  `select c.issuer_id, c.not_after, v.revoked_at, v.reason, o.der, o.this_update, o.next_update, o.refresh_at
   from certificate c
     left join revocation v on v.serial = c.serial
     left join ocsp_response o on o.serial = c.serial and o.hash = $2 and o.der is not null
       and o.revoked = (v.serial is not null) and o.next_update > $3
       and o.this_update <= greatest($3, v.revoked_at) + interval '60 seconds'
   where c.serial = $1`,
);

// A revocation is for good: what says so never gives way to what does not. One from the future, of a clock that was put back, gives way: relying
// parties with the right time do not take it.
const keep = statement(
  "ocsp_keep",
  `insert into ocsp_response as o (serial, hash, issuer_id, not_after, revoked, der, this_update, next_update, refresh_at)
   select c.serial, $2, c.issuer_id, c.not_after, $3, $4, $5, $6, $7
   from certificate c
   where c.serial = $1 and $3 = exists (select from revocation v where v.serial = c.serial offset 0)
   on conflict (serial, hash) do update set
     revoked = excluded.revoked, der = excluded.der, this_update = excluded.this_update, next_update = excluded.next_update,
     refresh_at = excluded.refresh_at, taken_at = null
   where excluded.revoked and not o.revoked or excluded.revoked = o.revoked
     and (o.refresh_at <= $8 or o.this_update > excluded.this_update + interval '60 seconds')
   returning serial`,
);

// By time, and the responses by their keys: `coalesce` keeps the index of those that are due out of it, by which whatever is signed ahead
// would be read each second while anything was revoked lately.
export const revokedLately = statement(
  "ocsp_revoked_lately",
  `with lately as (
     select serial from revocation
     where revoked_at >= date_trunc('second', now()) - make_interval(secs => $1) order by revoked_at limit $2
   ), due as (
     update ocsp_response o set refresh_at = now(), taken_at = null
     where o.serial = any(array(select serial from lately)) and not o.revoked and coalesce(o.ahead, false) and o.refresh_at > now()
   )
   select serial from lately`,
);

// Walked in the order of issuance, until there are enough, each with a look at its own response: `limit $5`, which is null, `offset 0` and `coalesce`
// keep a plan from when there were few certificates from collecting all of them, or all that is signed ahead, first.
export const markAhead = statement(
  "ocsp_mark_ahead",
  `insert into ocsp_response as o (serial, hash, issuer_id, not_after, revoked, ahead, refresh_at)
   select c.serial, 'sha1', c.issuer_id, c.not_after, false, true, now()
   from (
     select serial, issuer_id, profile, not_before, not_after from certificate where issued_at > $3 order by issued_at limit $5::bigint
   ) c
   where c.not_after > now()
     and c.not_after - c.not_before >= make_interval(secs => ($2::integer[])[array_position($1::text[], c.profile)])
     and not exists (
       select from ocsp_response r where r.serial = c.serial and r.hash = 'sha1' and coalesce(r.ahead, false) offset 0)
   limit $4
   on conflict (serial, hash) do update set ahead = true where not o.ahead
   returning serial`,
);

// By their places, Postgres cannot but go to each of them: they are held, and so stay there. One that changed a moment before is left for the next round.
export const takeDue = statement(
  "ocsp_take_due",
  `with taken as (
     update ocsp_response set taken_at = now()
     where ctid = any(array(
       select ctid from ocsp_response
       where ahead and refresh_at <= $1 and not_after > now()
         and (taken_at is null or taken_at < now() - make_interval(secs => $2))
       order by refresh_at limit $3 for update skip locked
     ))
     returning serial, hash, issuer_id, not_after
   )
   select t.serial, t.hash, t.issuer_id, t.not_after, v.revoked_at, v.reason
   from taken t left join lateral (select revoked_at, reason from revocation where serial = t.serial offset 0) v on true`,
);

/** A statement of `prune`: what is over, and what nobody will have again unless somebody asks. */
export const pruneOcspResponses = statement(
  "prune_ocsp_response",
  `delete from ocsp_response
   where ctid = any(array(
     select ctid from ocsp_response where least(not_after, case when not ahead then next_update end) < $1
     order by least(not_after, case when not ahead then next_update end) limit $2 for update skip locked
   )) returning 1`,
);

interface StatusRow {
  issuer_id: string;
  not_after: Date;
  revoked_at: Date | null;
  reason: number | null;
}

interface FoundRow extends StatusRow {
  der: Buffer | null;
  this_update: Date;
  next_update: Date;
  refresh_at: Date;
}

interface DueRow extends StatusRow {
  serial: Buffer;
  hash: "sha1" | "sha256";
}

const statusOf = ({ issuer_id, not_after, revoked_at, reason }: StatusRow): Omit<RecordedStatus, "response"> => ({
  issuerId: issuer_id,
  notAfter: not_after,
  revocation: revoked_at === null ? null : { at: revoked_at, reason },
});

/** Implements `OcspResponseStore`: one statement per method. */
export function createOcspResponseStore(db: Database): OcspResponseStore {
  return {
    async find(serial, hash, now) {
      const [row] = await db.run<FoundRow>(find, [serial, hash, now]);
      if (row === undefined) return undefined;
      const { der, this_update, next_update, refresh_at } = row;
      const response =
        der === null ? undefined : { der, thisUpdate: this_update, nextUpdate: next_update, refreshAt: refresh_at };
      return { ...statusOf(row), response };
    },
    async keep({ serial, hash, revoked, der, thisUpdate, nextUpdate, refreshAt }, now) {
      const rows = await db.run(keep, [serial, hash, revoked, der, thisUpdate, nextUpdate, refreshAt, now]);
      return rows.length === 1;
    },
    async revokedLately(seconds, limit) {
      const rows = await db.run<{ serial: Buffer }>(revokedLately, [seconds, limit]);
      return rows.map(({ serial }) => serial);
    },
    async markAhead(of, since, limit) {
      const profiles = [of.map(({ profile }) => profile), of.map(({ longerThanSeconds }) => longerThanSeconds)];
      return (await db.run(markAhead, [...profiles, since, limit, null])).length;
    },
    async takeDue(before, leaseSeconds, limit) {
      const rows = await db.run<DueRow>(takeDue, [before, leaseSeconds, limit]);
      return rows.map((row): DueResponse => ({ serial: row.serial, hash: row.hash, ...statusOf(row) }));
    },
  };
}
