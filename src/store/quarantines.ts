/** Identities in quarantine: parts of the statements that would issue to one, and their administration. */
import type { Quarantine, QuarantineStore } from "../administration/quarantinePorts.ts";
import { statement, type Database } from "./database.ts";

/** True where the identity with this name (a parameter) is in quarantine. */
export const isQuarantined = (identity: string): string =>
  `exists (select from quarantine q where q.identity = ${identity}::text and q.lifted_at is null)`;

const readQuarantined = statement("quarantine_read_in_force", `select ${isQuarantined("$1")} as quarantined`);

/** Whether this identity is in quarantine: why a statement did nothing, asked when it did. */
export async function isIdentityQuarantined(db: Database, identity: string): Promise<boolean> {
  const [row] = await db.run<{ quarantined: boolean }>(readQuarantined, [identity]);
  return row?.quarantined === true;
}

const columns = "id, identity, reason, created_by, created_at, lifted_by, lifted_at";

/** CTEs that tell of the quarantines that `made` has. */
const tellMade = `made_audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'identity.quarantined', created_by, 'identity:' || identity, jsonb_build_object('quarantine', id, 'reason', reason) from made
   ), made_event as (
     insert into outbox (topic, payload)
     select 'identity.quarantined', jsonb_build_object('identity', identity, 'reason', reason, 'by', created_by) from made
   )`;

/**
 * CTEs that put the identity `identity` in quarantine for each row of `from`; one that is in it already stays as it is. `made` has the others.
 * @param by SQL of who does it
 */
export const quarantineFrom = (from: string, identity: string, reason: string, by = "'mayfly'"): string => `made as (
     insert into quarantine (identity, reason, created_by) select ${identity}::text, ${reason}, ${by} from ${from}
     on conflict (identity) where lifted_at is null do nothing returning ${columns}
   ), ${tellMade}`;

const create = statement(
  "quarantine_create",
  `with made as (
     insert into quarantine (identity, reason, created_by) values ($1, $2, 'operator')
     on conflict (identity) where lifted_at is null do nothing returning ${columns}
   ), ${tellMade}
   select true as created, made.* from made
   union all
   select false, ${columns} from quarantine where identity = $1 and lifted_at is null and not exists (select from made)`,
);

const read = statement("quarantine_find", `select ${columns} from quarantine where id = $1`);

const list = statement(
  "quarantine_list",
  `select ${columns} from quarantine
   where ($1::boolean is null or (lifted_at is null) = $1) and ($2::text is null or identity = $2)
     and ($3::bigint is null or id < $3)
   order by id desc limit $4`,
);

const lift = statement(
  "quarantine_lift",
  `with lifted as (
     update quarantine set lifted_at = now(), lifted_by = 'operator' where id = $1 and lifted_at is null returning ${columns}
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'identity.released', 'operator', 'identity:' || identity, jsonb_build_object('quarantine', id) from lifted
   ), event as (
     insert into outbox (topic, payload) select 'identity.released', jsonb_build_object('identity', identity) from lifted
   )
   select ${columns} from lifted
   union all
   select ${columns} from quarantine where id = $1 and lifted_at is not null`,
);

interface QuarantineRow {
  id: number;
  identity: string;
  reason: string;
  created_by: string;
  created_at: Date;
  lifted_by: string | null;
  lifted_at: Date | null;
}

const quarantineOf = (row: QuarantineRow): Quarantine => ({
  id: row.id,
  identity: row.identity,
  reason: row.reason,
  createdBy: row.created_by,
  createdAt: row.created_at,
  liftedBy: row.lifted_by,
  liftedAt: row.lifted_at,
});

/** Implements `QuarantineStore` of the administration. */
export function createQuarantineStore(db: Database): QuarantineStore {
  const first = ([row]: QuarantineRow[]): Quarantine | undefined => row && quarantineOf(row);
  return {
    async createQuarantine(identity, reason) {
      for (;;) {
        const [row] = await db.run<QuarantineRow & { created: boolean }>(create, [identity, reason]);
        // No row when another one made it, and did not commit before this statement began to look: it is there now.
        if (row !== undefined) return { created: row.created, quarantine: quarantineOf(row) };
      }
    },
    readQuarantine: async (id) => first(await db.run<QuarantineRow>(read, [id])),
    async listQuarantines({ open, identity }, after, limit) {
      const values = [open ?? null, identity ?? null, after ?? null, limit];
      return (await db.run<QuarantineRow>(list, values)).map(quarantineOf);
    },
    liftQuarantine: async (id) => first(await db.run<QuarantineRow>(lift, [id])),
  };
}
