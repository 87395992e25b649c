/** Grants of the database and the versions of all grants: implements `GrantStore` of the administration and `GrantChanges` of the authority. */
import type { GrantStore, GrantVersion } from "../administration/grantPorts.ts";
import type { GrantChanges } from "../authority/ports.ts";
import { statement, violatedConstraint, type Database } from "./database.ts";
import { grantsChannel } from "./siblings.ts";

const stands = "origin = 'database' and ended_at is null";

/** A change with its audit entry and its event; the siblings are told when it is committed. */
const told = (change: string, event: string, detail: string): string =>
  `audit as (
     insert into audit_entry (event, actor, subject, detail) select ${event}, c.actor, 'grant:' || c.name, ${detail} from ${change} c
   ), event as (
     insert into outbox (topic, payload) select ${event}, jsonb_build_object('name', c.name, 'version', c.version) from ${change} c
   )`;
const notified = `pg_notify('${grantsChannel}', change::text)`;

// $1 name · $2 version · $3 text · $4 owner · $5 comment · $6 by · $7 expected versions, null for none · $8 how many names may stand.
// Whoever changes a grant takes the count's row first and holds it, so that changes are committed in the order of their numbers.
const put = statement(
  "grant_put",
  `with live as (
     select sequence, version from grant_version where name = $1 and ${stands}
   ), counted as (
     update grant_change set count = count + 1
     where case when $7::text[] is null then not exists (select from live)
                else exists (select from live where version = any($7) or '*' = any($7)) end
       and not exists (select from live where version = $2)
       and (exists (select from live) or (select count(*) from grant_version where ${stands}) < $8)
     returning count
   ), ended as (
     update grant_version g set ended_at = now(), ended_by = $6, ended_as = 'replaced', change = counted.count
     from counted, live where g.sequence = live.sequence and g.ended_at is null
     returning g.version
   ), made as (
     insert into grant_version (name, version, origin, configuration, owner, comment, change, created_by)
     select $1, $2, 'database', $3, $4, $5, counted.count, $6 from counted
     where $7::text[] is null or exists (select from ended)
     returning *, created_by as actor
   ), ${told(
     "made",
     "case when $7::text[] is null then 'grant.created' else 'grant.changed' end",
     "jsonb_build_object('version', c.version, 'replaced', (select version from ended), 'comment', c.comment)",
   )}
   select made.*, ${notified} from made`,
);

// $1 name · $2 expected versions · $3 by
const remove = statement(
  "grant_remove",
  `with live as (
     select sequence from grant_version where name = $1 and ${stands} and (version = any($2::text[]) or '*' = any($2::text[]))
   ), counted as (
     update grant_change set count = count + 1 where exists (select from live) returning count
   ), ended as (
     update grant_version g set ended_at = now(), ended_by = $3, ended_as = 'removed', change = counted.count
     from counted, live where g.sequence = live.sequence and g.ended_at is null
     returning g.*, g.ended_by as actor
   ), ${told("ended", "'grant.removed'", "jsonb_build_object('version', c.version)")}
   select ended.*, ${notified} from ended`,
);

const readStanding = statement("grant_standing", `select * from grant_version where name = $1 and ${stands}`);
const listVersions = statement(
  "grant_versions",
  `select * from grant_version where name = $1 and ($2::bigint is null or sequence < $2) order by sequence desc limit $3`,
);
const readVersion = statement(
  "grant_version",
  `select * from grant_version where name = $1 and version = $2 order by sequence desc limit 1`,
);
const changesSince = statement(
  "grant_changes",
  `select c.count, g.* from grant_change c
   left join grant_version g on g.origin = 'database' and g.change > $1 and g.change <= c.count and ($1 >= 0 or g.ended_at is null)
   order by g.change, g.sequence`,
);
const recordConfigured = statement(
  "grant_record_configured",
  `with made as (
     insert into grant_version (name, version, origin, configuration, owner, created_by)
     select g.name, g.version, 'configuration', g.configuration, g.owner, 'configuration'
     from unnest($1::text[], $2::text[], $3::jsonb[], $4::text[]) as g(name, version, configuration, owner)
     on conflict (name, version) where origin = 'configuration' do nothing
     returning name, version
   )
   insert into audit_entry (event, actor, subject, detail)
   select 'grant.configured', 'configuration', 'grant:' || name, jsonb_build_object('version', version) from made`,
);

interface GrantRow {
  sequence: number;
  name: string;
  version: string;
  origin: GrantVersion["origin"];
  configuration: object;
  owner: string | null;
  comment: string | null;
  created_at: Date;
  created_by: string;
  ended_at: Date | null;
  ended_by: string | null;
  ended_as: GrantVersion["endedAs"];
}

const versionOf = (row: GrantRow): GrantVersion => ({
  sequence: row.sequence,
  name: row.name,
  version: row.version,
  origin: row.origin,
  configuration: row.configuration,
  owner: row.owner,
  comment: row.comment,
  createdAt: row.created_at,
  createdBy: row.created_by,
  endedAt: row.ended_at,
  endedBy: row.ended_by,
  endedAs: row.ended_as,
});

/** A grant of the configuration whose text is to be kept. */
export interface ConfiguredGrant {
  readonly name: string;
  readonly version: string;
  readonly configuration: object;
  readonly owner?: string;
}

export interface GrantDatabase extends GrantStore, GrantChanges {
  /** Keeps the texts of these grants, where they are not kept yet, so that it can be said later what a version was. */
  recordConfigured(grants: readonly ConfiguredGrant[]): Promise<void>;
}

/** Implements `GrantStore` and `GrantChanges`. */
export function createGrantStore(db: Database): GrantDatabase {
  const first = ([row]: GrantRow[]): GrantVersion | undefined => row && versionOf(row);
  return {
    async putGrant({ name, version, configuration, owner, comment, by, expected, most }) {
      const text = JSON.stringify(configuration);
      try {
        return first(await db.run<GrantRow>(put, [name, version, text, owner, comment, by, expected ?? null, most]));
      } catch (error) {
        // Another one made the name at the same time.
        if (violatedConstraint(error) === "grant_version_live") return undefined;
        throw error;
      }
    },
    removeGrant: async (name, expected, by) => first(await db.run<GrantRow>(remove, [name, expected, by])),
    readStanding: async (name) => first(await db.run<GrantRow>(readStanding, [name])),
    listVersions: async (name, before, limit) =>
      (await db.run<GrantRow>(listVersions, [name, before ?? null, limit])).map(versionOf),
    readVersion: async (name, version) => first(await db.run<GrantRow>(readVersion, [name, version])),
    async changesSince(count) {
      type Row = { count: number } & (GrantRow | { [Column in keyof GrantRow]: null });
      const rows = await db.run<Row>(changesSince, [count]);
      const [row] = rows;
      if (row === undefined) throw new Error("the database has lost count of its grants");
      const changed = rows.flatMap((one) => (one.sequence === null ? [] : versionOf(one)));
      return { count: row.count, changed: changed.map((one) => ({ ...one, ended: one.endedAt !== null })) };
    },
    async recordConfigured(grants) {
      await db.run(recordConfigured, [
        grants.map(({ name }) => name),
        grants.map(({ version }) => version),
        grants.map(({ configuration }) => JSON.stringify(configuration)),
        grants.map(({ owner }) => owner ?? null),
      ]);
    },
  };
}
