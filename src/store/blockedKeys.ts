/**
 * Keys that nobody may use any more, by the SHA-256 of their SubjectPublicKeyInfo: parts of the statements that would use one, and
 * their administration.
 */
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
