/**
 * Revocation of many certificates as one action, what is suspended meanwhile and afterwards, and the server processes with what each of
 * them shows.
 */
import { sql, type Kysely } from "kysely";

const statements = [
  // Who revoked what, and why. `closed_at` is when nothing can be issued any more that the action covers and does not know of; until then
  // whoever records a certificate looks whether it is covered. The walk over the certificates goes on behind the cursor, whoever does it.
  `create table revocation_action (
     id uuid primary key,
     kind text not null
       check (kind in ('certificate', 'identity', 'key', 'account', 'grant', 'source', 'task', 'delegator', 'issuer')),
     subject text collate "C" not null,
     delegation_source text,
     reason smallint check (reason in (0, 1, 2, 3, 4, 5, 9, 10)),
     note text,
     quarantine boolean not null default false,
     block_keys boolean not null default false,
     created_by text not null,
     created_at timestamptz not null default now(),
     state text not null default 'running' check (state in ('running', 'done')),
     closed_at timestamptz,
     tried_at timestamptz not null default now(),
     cursor_not_after timestamptz,
     cursor_serial bytea not null default '',
     looked_at bigint not null default 0,
     revoked bigint not null default 0,
     revoked_before bigint not null default 0,
     caught bigint not null default 0,
     quarantined bigint not null default 0,
     blocked bigint not null default 0,
     uninformed bigint not null default 0,
     uninformed_end timestamptz,
     informed_end timestamptz,
     done_at timestamptz,
     published_at timestamptz
   ) with (fillfactor = 50)`,
  `create index revocation_action_open on revocation_action (id) where closed_at is null`,
  `create index revocation_action_running on revocation_action (tried_at) where state = 'running'`,
  `create index revocation_action_unpublished on revocation_action (id) where published_at is null`,
  `create index revocation_action_published on revocation_action (published_at)`,
  `create index revocation_of_action on revocation (action_id, published_at) where action_id is not null`,

  // An intent from before an action that covers it: whoever records it revokes it with that.
  `alter table issuance_intent add column action_id uuid`,

  // What nothing is issued by for now. Identities, keys, accounts and delegations have tables of their own for it.
  `create table issuance_suspension (
     id uuid primary key,
     kind text not null check (kind in ('grant', 'source', 'issuer')),
     subject text collate "C" not null,
     action_id uuid not null,
     created_by text not null,
     created_at timestamptz not null default now(),
     lifted_by text,
     lifted_at timestamptz
   )`,
  `create unique index issuance_suspension_in_force on issuance_suspension (kind, subject) where lifted_at is null`,

  // A process says each second that it is there, and since when it shows all revocations of an action.
  `create table server_process (
     id text primary key check (id ~ '^[0-9a-f]{8,64}$'),
     name text not null,
     started_at timestamptz not null default now(),
     seen_at timestamptz not null default now()
   ) with (fillfactor = 50)`,
  `create table revocation_effect (
     action_id uuid not null,
     process_id text not null,
     shown_at timestamptz not null default now(),
     primary key (action_id, process_id)
   )`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

export async function down(db: Kysely<unknown>): Promise<void> {
  const undo = [
    `drop table revocation_effect, server_process, issuance_suspension, revocation_action`,
    `alter table issuance_intent drop column action_id`,
    `drop index revocation_of_action`,
  ];
  for (const statement of undo) await sql.raw(statement).execute(db);
}
