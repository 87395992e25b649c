/**
 * Keys that nobody may use any more, by the SHA-256 of their SubjectPublicKeyInfo: parts of the statements that would use one, and
 * their administration.
 */
import type { BlockedKey, BlockedKeyStore } from "../administration/limitPorts.ts";
import { statement, type Database } from "./database.ts";

/** True where the key with this digest (a parameter, which may be null) is blocked. */
export const isBlocked = (digest: string): string =>
  `exists (select from blocked_key k where k.spki_sha256 = ${digest}::bytea)`;

/** Blocks the key `digest` because it is compromised, where `from` has a row and the digest is not null. */
export const blockCompromised = (from: string, digest: string, by: string): string =>
  `insert into blocked_key (spki_sha256, reason, blocked_by) select ${digest}::bytea, 'keyCompromise', ${by} from ${from}
   where ${digest}::bytea is not null on conflict (spki_sha256) do nothing returning spki_sha256`;

const readBlocked = statement("blocked_key_read", `select ${isBlocked("$1")} as blocked`);

/** Whether this key is blocked: why a statement did nothing, asked when it did. */
export async function isKeyBlocked(db: Database, spkiSha256: Buffer): Promise<boolean> {
  const [row] = await db.run<{ blocked: boolean }>(readBlocked, [spkiSha256]);
  return row?.blocked === true;
}

const columns = "spki_sha256, reason, note, blocked_by, blocked_at";

const block = statement(
  "blocked_key_block",
  `with made as (
     insert into blocked_key (spki_sha256, reason, note, blocked_by) values ($1, 'operator', $2, 'operator')
     on conflict (spki_sha256) do nothing returning ${columns}
   ), audit as (
     insert into audit_entry (event, actor, subject, detail)
     select 'key.blocked', 'operator', 'key:' || encode(spki_sha256, 'hex'), jsonb_build_object('reason', reason, 'note', note) from made
   )
   select true as created, made.* from made
   union all
   select false, ${columns} from blocked_key where spki_sha256 = $1 and not exists (select from made)`,
);
const read = statement("blocked_key_find", `select ${columns} from blocked_key where spki_sha256 = $1`);
const list = statement(
  "blocked_key_list",
  `select ${columns} from blocked_key where $1::bytea is null or spki_sha256 > $1 order by spki_sha256 limit $2`,
);
const unblock = statement(
  "blocked_key_unblock",
  `with gone as (
     delete from blocked_key where spki_sha256 = $1 returning spki_sha256
   ), audit as (
     insert into audit_entry (event, actor, subject) select 'key.unblocked', 'operator', 'key:' || encode(spki_sha256, 'hex') from gone
   )
   select 1 from gone`,
);

interface BlockedRow {
  spki_sha256: Buffer;
  reason: BlockedKey["reason"];
  note: string | null;
  blocked_by: string;
  blocked_at: Date;
}

const keyOf = (row: BlockedRow): BlockedKey => ({
  spkiSha256: row.spki_sha256,
  reason: row.reason,
  note: row.note,
  blockedBy: row.blocked_by,
  blockedAt: row.blocked_at,
});

/** Implements `BlockedKeyStore` of the administration. */
export function createBlockedKeyStore(db: Database): BlockedKeyStore {
  return {
    async block(spkiSha256, note) {
      for (;;) {
        const [row] = await db.run<BlockedRow & { created: boolean }>(block, [spkiSha256, note]);
        // No row when another one blocked it, and did not commit before this statement began to look: it is there now.
        if (row !== undefined) return { created: row.created, key: keyOf(row) };
      }
    },
    async readBlockedKey(spkiSha256) {
      const [row] = await db.run<BlockedRow>(read, [spkiSha256]);
      return row && keyOf(row);
    },
    listBlockedKeys: async (after, limit) => (await db.run<BlockedRow>(list, [after ?? null, limit])).map(keyOf),
    unblock: async (spkiSha256) => (await db.run(unblock, [spkiSha256])).length === 1,
  };
}
