/** Paused identifiers in Postgres: implements `PauseStore` of the administration. They begin in `orderLimits.ts`. */
import type { PausedIdentifier, PauseFilter, PauseStore } from "../administration/limitPorts.ts";
import { statement, type Database } from "./database.ts";

// $1-$3: the filter.
const selected = `f.paused_at is not null and ($1::uuid is null or f.account_id = $1)
   and ($2::text is null or f.identifier_type = $2) and ($3::text is null or f.identifier_value = $3)`;

const list = statement(
  "pause_list",
  `select f.account_id, f.identifier_type, f.identifier_value, f.failures, f.paused_at, f.last_failed_at from validation_failure f
   where ${selected} order by f.paused_at, f.account_id, f.identifier_type, f.identifier_value limit $4 offset $5`,
);

const resume = statement(
  "pause_resume",
  `with resumed as (
     delete from validation_failure f where ${selected}
     returning f.account_id, f.identifier_type, f.identifier_value
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'identifier.resumed', 'operator', 'account:' || account_id,
            jsonb_build_object('type', identifier_type, 'value', identifier_value)
     from resumed
   )
   select * from resumed`,
);

interface PairRow {
  account_id: string;
  identifier_type: string;
  identifier_value: string;
}
interface PauseRow extends PairRow {
  failures: number;
  paused_at: Date;
  last_failed_at: Date;
}

const pairOf = (row: PairRow): Pick<PausedIdentifier, "accountId" | "identifier"> => ({
  accountId: row.account_id,
  identifier: { type: row.identifier_type, value: row.identifier_value },
});
const valuesOf = ({ accountId, type, value }: PauseFilter): unknown[] => [
  accountId ?? null,
  type ?? null,
  value ?? null,
];

export function createPauseStore(db: Database): PauseStore {
  return {
    async listPauses(filter, offset, limit) {
      const rows = await db.run<PauseRow>(list, [...valuesOf(filter), limit, offset]);
      return rows.map((row) => ({
        ...pairOf(row),
        failures: row.failures,
        pausedAt: row.paused_at,
        lastFailedAt: row.last_failed_at,
      }));
    },
    resume: async (filter) => (await db.run<PairRow>(resume, valuesOf(filter))).map(pairOf),
  };
}
