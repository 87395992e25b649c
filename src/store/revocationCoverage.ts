/** What a revocation would cover, counted page by page: no statement takes long, however many there are. */
import type { CoveredProfile, RevocationCoverage, RevocationSubject } from "../administration/revocationPorts.ts";
import { statement, type Database } from "./database.ts";
import { isInformed } from "./revocationInformation.ts";
import { coversIntent, nextCertificates, pathOf, selectionPaths, type SelectionPath } from "./revocationSelection.ts";

/** Certificates looked at in one statement. */
const pageSize = 10_000;
const serialsShown = 10;

// 1 subject · 2 3 cursor · 4 how many · 5 issued by then, null for all
const pageOf = (path: SelectionPath): string =>
  `with a as (
     select $1::text as subject, $2::timestamptz as cursor_not_after, $3::bytea as cursor_serial
   ), page as materialized (
     select c.* from a, lateral (${nextCertificates(path, "$4")}) c
   ), covered as (
     select p.*, r.serial is not null as revoked, ${isInformed("p")} as informed
     from page p left join lateral (select serial from revocation where serial = p.serial offset 0) r on true
     where p.covered and ($5::timestamptz is null or p.issued_at <= $5)
   ), profiles as (
     select profile, informed, count(*) as certificates, max(not_after) as ends from covered where not revoked group by profile, informed
   )
   select (select count(*) from page) as size, (select max(not_after) from page) as cursor_not_after,
     (select serial from page order by not_after desc, serial desc limit 1) as cursor_serial,
     (select count(*) from covered where revoked) as revoked_before,
     array(select serial from covered where not revoked order by not_after, serial limit ${serialsShown}) as serials,
     (select coalesce(jsonb_agg(jsonb_build_object('profile', profile, 'informed', informed, 'certificates', certificates,
                                                   'ends', extract(epoch from ends) * 1000)), '[]') from profiles) as profiles`;

/** Statement by way. */
export const coveragePages = Object.fromEntries(
  selectionPaths.map((path) => [path, statement(`revocation_coverage_${path}`, pageOf(path))]),
) as Readonly<Record<SelectionPath, ReturnType<typeof statement>>>;

const underWay = statement(
  "revocation_under_way",
  `select count(*) as n from (values ($1::text, $2::text)) as x(kind, subject), issuance_intent i
   where i.abandoned_at is null and ${coversIntent("x", "i")}`,
);

interface PageRow {
  size: number;
  cursor_not_after: Date | null;
  cursor_serial: Buffer | null;
  revoked_before: number;
  serials: Buffer[];
  profiles: { profile: string; informed: boolean; certificates: number; ends: number }[];
}

const later = (one: Date | null, other: Date): Date => (one === null || other > one ? other : one);

/** Counts what is covered at `now`: all of it, or what was issued by `issuedUntil`. */
export async function readCoverage(
  db: Database,
  of: RevocationSubject,
  now: Date,
  issuedUntil?: Date,
): Promise<RevocationCoverage> {
  async function readPageBehind(cursor: readonly [Date, Buffer]): Promise<PageRow> {
    const [row] = await db.run<PageRow>(coveragePages[pathOf(of)], [
      of.subject,
      ...cursor,
      pageSize,
      issuedUntil ?? null,
    ]);
    if (row === undefined) throw new Error("a statement of one row has none");
    return row;
  }

  const profiles = new Map<string, CoveredProfile>();
  const serials: Buffer[] = [];
  let [revokedBefore, certificates] = [0, 0];
  const ends: { uninformedEnd: Date | null; informedEnd: Date | null } = { uninformedEnd: null, informedEnd: null };
  for (let cursor: readonly [Date, Buffer] | undefined = [now, Buffer.alloc(0)]; cursor !== undefined;) {
    const row = await readPageBehind(cursor);
    revokedBefore += row.revoked_before;
    serials.push(...row.serials.slice(0, serialsShown - serials.length));
    for (const group of row.profiles) {
      const before = profiles.get(group.profile) ?? { profile: group.profile, certificates: 0, uninformed: 0 };
      const uninformed = before.uninformed + (group.informed ? 0 : group.certificates);
      profiles.set(group.profile, { ...before, certificates: before.certificates + group.certificates, uninformed });
      certificates += group.certificates;
      const end = group.informed ? "informedEnd" : "uninformedEnd";
      ends[end] = later(ends[end], new Date(group.ends));
    }
    const { size, cursor_not_after: notAfter, cursor_serial: serial } = row;
    cursor = size < pageSize || notAfter === null || serial === null ? undefined : [notAfter, serial];
  }
  const [under] = await db.run<{ n: number }>(underWay, [of.kind, of.subject]);
  const sorted = [...profiles.values()].sort((a, b) => b.certificates - a.certificates);
  return { certificates, profiles: sorted, serials, revokedBefore, underWay: under?.n ?? 0, ...ends };
}
