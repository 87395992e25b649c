/** Revocations of many certificates as actions: implements `RevocationActionStore` of the administration. Reading, and their beginning. */
import type {
  ActionEffect,
  NewRevocation,
  PublishedList,
  RevocationAction,
  RevocationActionStore,
  RevocationKind,
  RevocationSubject,
} from "../administration/revocationPorts.ts";
import { statement, type Database } from "./database.ts";
import { beginnings } from "./revocationBeginnings.ts";
import { readCoverage } from "./revocationCoverage.ts";

const exists: Readonly<Record<RevocationKind, string>> = {
  certificate: "select from certificate where serial = decode($1, 'hex')",
  identity: "select from identity where name = $1",
  account: "select from account where id = ($1::text)::uuid",
  grant: "select from grant_version where name = $1",
  issuer: "select from issuer where id = ($1::text)::uuid",
  // Of these it is enough that they can be: a key may come yet, sources are the configuration's, and who has a pseudonym nobody knows.
  key: "select where $1::text is not null",
  source: "select where $1::text is not null",
  task: "select where $1::text is not null",
  delegator: "select where $1::text is not null",
};
const existing = Object.fromEntries(
  Object.entries(exists).map(([kind, text]) => [
    kind,
    statement(`revocation_exists_${kind}`, `select exists (${text}) as known`),
  ]),
) as Readonly<Record<RevocationKind, ReturnType<typeof statement>>>;

// By the database's clock, which a certificate's time is by, and before anything that can be under way still.
const recordedUntil = statement(
  "revocation_recorded_until",
  `select now() - greatest(interval '1 minute', 2 * current_setting('statement_timeout')::interval) as until`,
);

const read = statement("revocation_read", `select * from revocation_action where id = $1`);

const list = statement(
  "revocation_list",
  `select * from revocation_action
   where ($1::text is null or kind = $1) and ($2::text is null or state = $2) and ($3::text is null or created_by = $3)
     and ($4::bytea is null or id in (select action_id from revocation where serial = $4)) and ($5::uuid is null or id < $5)
   order by id desc limit $6`,
);

// `offset 0`: by the action, and not in the order of the lists, which another index has.
export const lists = statement(
  "revocation_lists",
  `select r.issuer_id as "issuerId", r.shard, count(*) as revocations,
          case when bool_and(r.published_at is not null) then max(r.published_at) end as "publishedAt",
          case when bool_and(r.published_at is not null) then max(r.list_number) end as "listNumber"
   from (select issuer_id, shard, published_at, list_number from revocation where action_id = $1 offset 0) r group by 1, 2 order by 1, 2`,
);

// A process that came afterwards read the lists before it said that it is there.
const effects = statement(
  "revocation_effects",
  `select p.id as process, p.name, p.seen_at as "seenAt",
          coalesce(e.shown_at, case when a.published_at < p.started_at - interval '1 minute' then p.started_at end) as "shownAt"
   from revocation_action a cross join server_process p
   left join revocation_effect e on e.action_id = a.id and e.process_id = p.id
   where a.id = $1 order by p.started_at, p.id`,
);

export interface ActionRow {
  id: string;
  kind: RevocationKind;
  subject: string;
  delegation_source: string | null;
  reason: number | null;
  note: string | null;
  quarantine: boolean;
  block_keys: boolean;
  created_by: string;
  created_at: Date;
  state: "running" | "done";
  closed_at: Date | null;
  done_at: Date | null;
  revoked: number;
  revoked_before: number;
  caught: number;
  quarantined: number;
  blocked: number;
  uninformed: number;
  uninformed_end: Date | null;
  informed_end: Date | null;
  published_at: Date | null;
}

const actionOf = (row: ActionRow): RevocationAction => ({
  id: row.id,
  kind: row.kind,
  subject: row.subject,
  delegationSource: row.delegation_source,
  reason: row.reason,
  note: row.note,
  quarantine: row.quarantine,
  blockKeys: row.block_keys,
  createdBy: row.created_by,
  createdAt: row.created_at,
  state: row.state,
  closedAt: row.closed_at,
  doneAt: row.done_at,
  revoked: row.revoked,
  revokedBefore: row.revoked_before,
  caught: row.caught,
  quarantined: row.quarantined,
  blocked: row.blocked,
  uninformed: row.uninformed,
  uninformedEnd: row.uninformed_end,
  informedEnd: row.informed_end,
  publishedAt: row.published_at,
});

export function createRevocationActionStore(db: Database): RevocationActionStore {
  const first = ([row]: ActionRow[]): RevocationAction | undefined => row && actionOf(row);
  async function begin(of: NewRevocation, now: Date, come: readonly unknown[]): Promise<RevocationAction | undefined> {
    const { id, kind, subject, delegationSource, reason, note, quarantine, blockKeys } = of;
    const values = [id, kind, subject, delegationSource, reason, note, quarantine, blockKeys, now, ...come];
    return first(await db.run<ActionRow>(beginnings[kind], values));
  }
  return {
    async exists({ kind, subject }: RevocationSubject) {
      const [row] = await db.run<{ known: boolean }>(existing[kind], [subject]);
      return row?.known === true;
    },
    async recordedUntil() {
      const [row] = await db.run<{ until: Date }>(recordedUntil, []);
      if (row === undefined) throw new Error("a statement of one row has none");
      return row.until;
    },
    coverage: (of, now, issuedUntil) => readCoverage(db, of, now, issuedUntil),
    async begin(revocation, now) {
      const begun = await begin(revocation, now, [null, null]);
      if (begun === undefined) throw new Error("the statement that begins a revocation wrote none");
      return begun;
    },
    beginAtMost: (revocation, now, { atMost, issuedAfter }) => begin(revocation, now, [atMost, issuedAfter]),
    read: async (id) => first(await db.run<ActionRow>(read, [id])),
    async list({ kind, state, createdBy, certificate }, after, limit) {
      const values = [kind ?? null, state ?? null, createdBy ?? null, certificate ?? null, after ?? null, limit];
      return (await db.run<ActionRow>(list, values)).map(actionOf);
    },
    lists: (id) => db.run<PublishedList>(lists, [id]),
    effects: (id) => db.run<ActionEffect>(effects, [id]),
  };
}
