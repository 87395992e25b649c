/** Incidents in Postgres: implements `IncidentStore` of the administration. */
import type { Coverage, Incident, IncidentStore, Selection } from "../administration/incidentPorts.ts";
import { statement, type Database } from "./database.ts";
import { selects } from "./incidentCover.ts";

// $1-$7: the selection. No row where it names an identity that there is not: a condition that fell away would cover more.
const selection = `select $1::bytea[] as serials, (select id from identity where name = $2) as identity_id, $3::bytea as spki_sha256,
     $4::uuid as account_id, $5::uuid as issuer_id, $6::timestamptz as issued_after, coalesce($7::timestamptz, now()) as issued_before
   where $2::text is null or exists (select from identity where name = $2)`;

const columns = (i: string): string =>
  `${i}.id, ${i}.reason, ${i}.explanation_url, ${i}.serials, (select name from identity where id = ${i}.identity_id) as identity,
   ${i}.spki_sha256, ${i}.account_id, ${i}.issuer_id, ${i}.issued_after, ${i}.issued_before, ${i}.created_at, ${i}.ended_at`;

/** The change with its audit entry and its event. */
const told = (change: string, event: string): string =>
  `audit as (
     insert into audit_entry (event, actor, subject, detail)
     select '${event}', 'operator', 'incident:' || id, jsonb_build_object('reason', reason) from ${change}
   ), event as (
     insert into outbox (topic, payload) select '${event}', jsonb_build_object('id', id, 'reason', reason) from ${change}
   )`;

const create = statement(
  "incident_create",
  `with made as (
     insert into incident (id, reason, explanation_url, serials, identity_id, spki_sha256, account_id, issuer_id, issued_after,
                           issued_before)
     select $8, $9, $10, s.serials, s.identity_id, s.spki_sha256, s.account_id, s.issuer_id, s.issued_after, s.issued_before
     from (${selection}) s
     returning *
   ), ${told("made", "incident.created")}
   select ${columns("made")} from made`,
);

const coverage = statement(
  "incident_coverage",
  `with i as (${selection}), covered as (
     select c.serial, c.issued_at, exists (select from certificate s where s.replaces = c.serial) as replaced
     from i join certificate c on ${selects("i", "c")}
     where c.not_after > $8 and not exists (select from revocation r where r.serial = c.serial)
   )
   select count(*) as certificates, count(*) filter (where replaced) as replaced,
          array(select serial from covered order by issued_at desc, serial limit 10) as serials,
          exists (select from i) as known
   from covered`,
);

const read = statement("incident_read", `select ${columns("i")} from incident i where i.id = $1`);

const list = statement(
  "incident_list",
  `select ${columns("i")} from incident i
   where ($1::boolean is null or (i.ended_at is null) = $1) and ($2::uuid is null or i.id < $2)
   order by i.id desc limit $3`,
);

const end = statement(
  "incident_end",
  `with ended as (
     update incident set ended_at = now() where id = $1 and ended_at is null returning *
   ), ${told("ended", "incident.ended")}
   select ${columns("e")} from ended e
   union all
   select ${columns("i")} from incident i where i.id = $1 and i.ended_at is not null`,
);

interface IncidentRow {
  id: string;
  reason: string;
  explanation_url: string | null;
  serials: Buffer[] | null;
  identity: string | null;
  spki_sha256: Buffer | null;
  account_id: string | null;
  issuer_id: string | null;
  issued_after: Date | null;
  issued_before: Date;
  created_at: Date;
  ended_at: Date | null;
}

const incidentOf = (row: IncidentRow): Incident => ({
  id: row.id,
  reason: row.reason,
  explanationUrl: row.explanation_url,
  selection: {
    serials: row.serials,
    identity: row.identity,
    spkiSha256: row.spki_sha256,
    accountId: row.account_id,
    issuerId: row.issuer_id,
    issuedAfter: row.issued_after,
    issuedBefore: row.issued_before,
  },
  createdAt: row.created_at,
  endedAt: row.ended_at,
});

const selectionValues = (of: Selection): unknown[] => [
  of.serials,
  of.identity,
  of.spkiSha256,
  of.accountId,
  of.issuerId,
  of.issuedAfter,
  of.issuedBefore,
];

export function createIncidentStore(db: Database): IncidentStore {
  const first = ([row]: IncidentRow[]): Incident | undefined => row && incidentOf(row);
  return {
    createIncident: async ({ id, reason, explanationUrl, selection: of }) =>
      first(await db.run<IncidentRow>(create, [...selectionValues(of), id, reason, explanationUrl])),
    async coverage(of, now) {
      type Row = Coverage & { known: boolean };
      const [row] = await db.run<Row>(coverage, [...selectionValues(of), now]);
      if (row === undefined || !row.known) return undefined;
      return { certificates: row.certificates, replaced: row.replaced, serials: row.serials };
    },
    readIncident: async (id) => first(await db.run<IncidentRow>(read, [id])),
    async listIncidents({ open }, after, limit) {
      return (await db.run<IncidentRow>(list, [open ?? null, after ?? null, limit])).map(incidentOf);
    },
    endIncident: async (id) => first(await db.run<IncidentRow>(end, [id])),
  };
}
