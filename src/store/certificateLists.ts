/**
 * Revocation lists in Postgres: implements `CertificateListStore`. What a list has is settled before it is read: the revocations that are on no
 * list yet get the number of the attempt, and the list is made of what has that number or an earlier one. So the statement that publishes it
 * tells exactly what is on it, whatever was revoked meanwhile.
 */
import type { CertificateListStore, ListTurn, PublishedList, VisitRevoked } from "../authority/certificateListPorts.ts";
import { statement, type Database } from "./database.ts";

/** The places of issuers that have been published: all of them, so that no URL in a certificate leads nowhere. */
const newPlaces = `insert into certificate_list_shard (issuer_id, shard)
   select i.id, s from issuer i, generate_series(0, case when i.kind = 'root' then 0 else i.crl_shards - 1 end) s
   where (i.kind = 'issuing' or i.kind = 'root' and i.key_label is not null) and i.state in ('published', 'active', 'retiring')
     and not exists (select from certificate_list_shard p where p.issuer_id = i.id and p.shard = s offset 0)
   on conflict do nothing returning 1`;

// A second has one list of a shard, so that its time tells it from the next. A clock that was ahead is believed no longer once it was put back.
// `offset 0`: for each list its own are looked for, and not all that are on none. Places that it makes are there for the next one: `made` has how many.
export const takeTurn = statement(
  "certificate_list_take",
  `with places as (
     ${newPlaces}
   ), due as (
     select issuer_id, shard from certificate_list_shard s
     where issuer_id = any($1::uuid[]) and (taken_until is null or taken_until <= now())
       and (published is null or due_at <= $2 or this_update > $2 + interval '60 seconds'
            or this_update <> date_trunc('second', $2::timestamptz) and exists (
              select from revocation r where r.issuer_id = s.issuer_id and r.shard = s.shard and r.published_at is null offset 0))
     order by due_at nulls first limit 1 for update skip locked
   ), taken as (
     update certificate_list_shard s
     set attempted = greatest(attempted + 1, extract(epoch from $2::timestamptz)::bigint), taken_until = now() + interval '30 seconds'
     where (s.issuer_id, s.shard) = (select issuer_id, shard from due)
     returning s.issuer_id, s.shard, s.attempted, s.published, s.this_update
   )
   select made, t.* from (select count(*)::integer as made from places) p left join taken t on true`,
);

const giveBack = statement(
  "certificate_list_give_back",
  `update certificate_list_shard set taken_until = now() + interval '5 seconds'
   where issuer_id = $1 and shard = $2 and attempted = $3`,
);

/** So many are published by one statement: a second or two of work for Postgres. */
const newMax = 100_000;

// As an array, so that each is looked up: joined, a table of a few rows would be read whole, and so would it be later on.
export const settle = statement(
  "certificate_list_settle",
  `update revocation set list_number = $3
   where issuer_id = $1 and shard = $2 and published_at is null
     and serial = any(array(select serial from revocation where issuer_id = $1 and shard = $2 and published_at is null limit $4))
     and exists (select from certificate_list_shard where issuer_id = $1 and shard = $2 and attempted = $3)`,
);

/** Rows in one answer, which is one value: a row of its own for each would cost more than all else. */
const pageSize = 20_000;

/** Of rows `page` in their order: how many they are, and each one's serial number, time and reason; -1 where it has none, -2 where it is not listed. */
const packed = (listed: string): string =>
  `count(*)::integer as count, string_agg(
     int2send(length(serial)::smallint) || serial || timestamptz_send(revoked_at)
       || int2send(case when ${listed} then coalesce(reason, -1::smallint) else -2::smallint end), ''::bytea order by serial) as packed`;

// By the index alone, which has all of this, from the day on that certificates end which may be listed: those of years before are not looked at.
// Compared as rows: of the serial number alone the index of all lists' would do as well for a plan from when there was one list.
export const readPage = statement(
  "certificate_list_page",
  `select ${packed("list_number <= $4 and (published_at is null or not_after >= $5)")}
   from (
     select serial, revoked_at, reason, list_number, published_at, not_after from revocation
     where (issuer_id, shard, serial) > ($1, $2, $3) and (issuer_id, shard) <= ($1, $2) order by issuer_id, shard, serial limit ${pageSize}
   ) page`,
);

// And what was revoked after it had ended long ago.
export const readLate = statement(
  "certificate_list_late",
  `select ${packed("list_number = $4")}
   from (
     select serial, revoked_at, reason, list_number from revocation
     where (issuer_id, shard, serial) > ($1, $2, $3) and (issuer_id, shard, serial) < ($1, $2, $5) and published_at is null
     order by issuer_id, shard, serial limit ${pageSize}
   ) page`,
);

// The list before stays, for whoever reads it at this moment.
export const publish = statement(
  "certificate_list_publish",
  `with place as (
     update certificate_list_shard set published = $3, this_update = $4, due_at = $6, taken_until = null
     where issuer_id = $1 and shard = $2 and attempted = $3 and (published is null or published < $3)
     returning issuer_id, shard
   ), list as (
     insert into certificate_list (issuer_id, shard, number, this_update, next_update, entries, der, sha256, published_at)
     select issuer_id, shard, $3, $4, $5, $7, $8, $9, clock_timestamp() from place
     returning number, sha256, entries, published_at
   ), told as (
     update revocation r set published_at = list.published_at from list
     where r.issuer_id = $1 and r.shard = $2 and r.list_number = $3 and r.published_at is null
     returning r.serial
   ), pruned as (
     delete from certificate_list where issuer_id = $1 and shard = $2 and number < $10 and exists (select from list)
   ), facts as (
     select jsonb_build_object('issuer', $1::uuid, 'shard', $2::smallint, 'number', number, 'entries', entries,
                               'new', (select count(*) from told), 'sha256', encode(sha256, 'hex')) as detail
     from list
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'certificateList.published', 'system', 'issuer:' || $1::uuid, detail from facts
   ), event as (
     insert into outbox (topic, payload) select 'certificateList.published', detail from facts
   )
   select number from list`,
);

const readPublished = statement(
  "certificate_list_published",
  `select l.issuer_id as "issuerId", l.shard, l.number, l.this_update as "thisUpdate", l.next_update as "nextUpdate", s.due_at as "dueAt",
          l.entries, l.sha256, octet_length(l.der) as size, l.published_at as "publishedAt"
   from certificate_list_shard s
   join certificate_list l on l.issuer_id = s.issuer_id and l.shard = s.shard and l.number = s.published
   order by l.issuer_id, l.shard`,
);

/** Octets of a list that come in one answer. */
const partSize = 4_194_304;

const readPart = statement(
  "certificate_list_part",
  `select octet_length(der) as size, substring(der from $4 for ${partSize}) as part
   from certificate_list where issuer_id = $1 and shard = $2 and number = $3`,
);

interface TurnRow {
  issuer_id: string;
  shard: number;
  attempted: number;
  published: number | null;
  this_update: Date | null;
}

type TakenRow = { readonly made: number } & (TurnRow | { readonly issuer_id: null });

const turnOf = ({ issuer_id, shard, attempted, published, this_update }: TurnRow): ListTurn => ({
  issuerId: issuer_id,
  shard,
  number: attempted,
  newest: published === null || this_update === null ? undefined : { number: published, thisUpdate: this_update },
});

export function createCertificateListStore(db: Database): CertificateListStore {
  return {
    async takeTurn(issuerIds, now) {
      for (;;) {
        const [row] = await db.run<TakenRow>(takeTurn, [issuerIds, now]);
        if (row?.issuer_id != null) return turnOf(row);
        if (row === undefined || row.made === 0) return undefined;
      }
    },
    async giveBack({ issuerId, shard, number }) {
      await db.run(giveBack, [issuerId, shard, number]);
    },
    async readRevoked(turn, { firstSerial, expiredBefore }, visit) {
      const { issuerId, shard, number } = turn;
      await db.run(settle, [issuerId, shard, number, newMax]);
      const pages = async (read: typeof readPage, from: Buffer, bound: unknown): Promise<number> => {
        let [shown, last, size] = [0, from, pageSize];
        while (size === pageSize) {
          type Page = { count: number; packed: Buffer | null };
          const [page] = await db.run<Page>(read, [issuerId, shard, last, number, bound]);
          size = page?.count ?? 0;
          if (page?.packed) {
            const unpacked = unpack(page.packed, visit);
            shown += unpacked.shown;
            last = unpacked.last;
          }
        }
        return shown;
      };
      const late = await pages(readLate, Buffer.alloc(0), firstSerial);
      return late + (await pages(readPage, firstSerial, expiredBefore));
    },
    async publish({ turn, der, sha256, entries, thisUpdate, nextUpdate, dueAt }) {
      const { issuerId, shard, number, newest } = turn;
      const values = [issuerId, shard, number, thisUpdate, nextUpdate, dueAt, entries, der, sha256];
      return (await db.run(publish, [...values, newest?.number ?? 0])).length === 1;
    },
    readPublished: () => db.run<PublishedList>(readPublished, []),
    async readOctets({ issuerId, shard }, number) {
      let octets: Buffer | undefined;
      for (let at = 0; octets === undefined || at < octets.length; at += partSize) {
        const [row] = await db.run<{ size: number; part: Buffer }>(readPart, [issuerId, shard, number, at + 1]);
        if (row === undefined) return undefined;
        octets ??= Buffer.allocUnsafeSlow(row.size);
        row.part.copy(octets, at);
      }
      return octets;
    },
  };
}

/** Seconds from 1970 to 2000, which Postgres counts microseconds from. */
const postgresEpoch = 946_684_800;

/** Shows what was packed. */
function unpack(page: Buffer, visit: VisitRevoked): { shown: number; last: Buffer } {
  let [start, end, shown] = [0, 0, 0];
  for (let at = 0; at < page.length; at = end + 10) {
    start = at + 2;
    end = start + page.readInt16BE(at);
    const reason = page.readInt16BE(end + 8);
    if (reason === -2) continue;
    const microseconds = page.readInt32BE(end) * 0x1_0000_0000 + page.readUInt32BE(end + 4);
    visit(page, start, end, Math.floor(microseconds / 1e6) + postgresEpoch, reason === -1 ? undefined : reason);
    shown += 1;
  }
  return { shown, last: Buffer.from(page.subarray(start, end)) };
}
