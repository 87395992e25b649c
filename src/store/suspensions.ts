/** What nothing is issued by for now: why a statement did nothing, and the administration of it. */
import type { Suspension, SuspensionStore } from "../administration/revocationPorts.ts";
import { statement, type Database } from "./database.ts";
import { notSuspended } from "./revocationSelection.ts";

const readSuspended = statement(
  "suspension_read_in_force",
  `select not ${notSuspended("$1", "$2::uuid", "$3::bytea")} as suspended`,
);

/** Whether something is suspended that an intent rests on: asked when the statement that would have written it did nothing. */
export async function isSuspended(
  db: Database,
  {
    evidence,
    issuerId,
    renewal,
  }: { evidence: unknown; issuerId: string; renewal?: { readonly lineage: Buffer } | null },
): Promise<boolean> {
  const values = [JSON.stringify(evidence), issuerId, renewal?.lineage ?? null];
  const [row] = await db.run<{ suspended: boolean }>(readSuspended, values);
  return row?.suspended === true;
}

const columns = `id, kind, subject, action_id as action, created_by as "createdBy", created_at as "createdAt", lifted_by as "liftedBy",
  lifted_at as "liftedAt"`;

const list = statement(
  "suspension_list",
  `select ${columns} from issuance_suspension
   where ($1::boolean is null or (lifted_at is null) = $1) and ($2::uuid is null or id < $2) order by id desc limit $3`,
);

const lift = statement(
  "suspension_lift",
  `with lifted as (
     update issuance_suspension set lifted_at = now(), lifted_by = 'operator' where id = $1 and lifted_at is null returning *
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'issuance.resumed', 'operator', kind || ':' || subject, jsonb_build_object('suspension', id) from lifted
   ), event as (
     insert into outbox (topic, payload) select 'issuance.resumed', jsonb_build_object('kind', kind, 'subject', subject) from lifted
   )
   select ${columns} from lifted
   union all
   select ${columns} from issuance_suspension where id = $1 and lifted_at is not null`,
);

/** Implements `SuspensionStore` of the administration. */
export function createSuspensionStore(db: Database): SuspensionStore {
  return {
    list: (open, after, limit) => db.run<Suspension>(list, [open ?? null, after ?? null, limit]),
    lift: async (id) => (await db.run<Suspension>(lift, [id]))[0],
  };
}
