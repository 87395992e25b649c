/** Grants of the database beside those of the configuration, and every text that a grant ever had. */
import { sql, type Kysely } from "kysely";

const statements = [
  // Counts the changes: whoever changes a grant holds this row until it commits, so the changes of a count are there once the count is.
  `create table grant_change (sole boolean primary key default true check (sole), count bigint not null default 0)`,
  `insert into grant_change default values`,

  // A version is written once; afterwards it only ends. What the configuration said is kept for later questions and never stands by this row.
  `create table grant_version (
     sequence bigint generated always as identity primary key,
     name text not null check (name ~ '^[a-z0-9][a-z0-9-]{0,63}$'),
     version text not null check (version ~ '^[0-9a-f]{16}$'),
     origin text not null check (origin in ('configuration', 'database')),
     configuration jsonb not null,
     owner text,
     comment text,
     change bigint not null default 0,
     created_at timestamptz not null default now(),
     created_by text not null,
     ended_at timestamptz,
     ended_by text,
     ended_as text check (ended_as in ('replaced', 'removed')),
     check ((ended_at is null) = (ended_as is null) and (ended_at is null) = (ended_by is null)),
     check (origin = 'database' or ended_at is null)
   )`,
  `create unique index grant_version_live on grant_version (name) where origin = 'database' and ended_at is null`,
  `create unique index grant_version_configured on grant_version (name, version) where origin = 'configuration'`,
  `create index grant_version_name on grant_version (name, sequence)`,
  `create index grant_version_change on grant_version (change) where origin = 'database'`,
  `create function grant_version_stays() returns trigger language plpgsql as $$
   begin
     if tg_op = 'DELETE' or old.ended_at is not null
        or (new.sequence, new.name, new.version, new.origin, new.configuration, new.created_at, new.created_by)
           is distinct from (old.sequence, old.name, old.version, old.origin, old.configuration, old.created_at, old.created_by)
        or (new.owner, new.comment) is distinct from (old.owner, old.comment) then
       raise exception 'a version of a grant is not changed';
     end if;
     return new;
   end $$`,
  `create trigger grant_version_stays before update or delete on grant_version for each row execute function grant_version_stays()`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  await sql.raw(`drop table grant_version, grant_change`).execute(db);
  await sql.raw(`drop function grant_version_stays`).execute(db);
}
