/** What the administration of limits and blocked keys asks for. Each method of a store is one statement. */

/** A rate limit as this process counts it. */
export interface RateState {
  readonly limit: string;
  /** Undefined where the limit is off. */
  readonly rate: { readonly count: number; readonly periodMs: number; readonly burst: number } | undefined;
  readonly buckets: number;
  readonly refused: number;
  readonly exceeded: readonly { readonly key: string; readonly retryAfterSeconds: number }[];
}

/** The rate limits of this process. */
export interface RateAdministration {
  /** All of them, each with at most `most` keys that are refused now. */
  list(most: number): readonly RateState[];
  /** How many buckets were made as good as new: that of `key`, or all. Undefined where there is no such limit. */
  reset(limit: string, key: string | undefined): number | undefined;
}

export interface PausedIdentifier {
  readonly accountId: string;
  readonly identifier: { readonly type: string; readonly value: string };
  readonly failures: number;
  readonly pausedAt: Date;
  readonly lastFailedAt: Date;
}

/** Which pauses; all that is said must hold. */
export interface PauseFilter {
  readonly accountId?: string | undefined;
  readonly type?: string | undefined;
  readonly value?: string | undefined;
}

export interface PauseStore {
  /** The longest paused first, at most `limit`, after the first `offset`. */
  listPauses(filter: PauseFilter, offset: number, limit: number): Promise<PausedIdentifier[]>;
  /** Ends the pauses, with an audit entry for each; resolves to what was paused. */
  resume(filter: PauseFilter): Promise<Pick<PausedIdentifier, "accountId" | "identifier">[]>;
}

export interface BlockedKey {
  readonly spkiSha256: Buffer;
  readonly reason: "keyCompromise" | "operator";
  readonly note: string | null;
  readonly blockedBy: string;
  readonly blockedAt: Date;
}

export interface BlockedKeyStore {
  /** Blocks the key, or finds it blocked. */
  block(spkiSha256: Buffer, note: string | null): Promise<{ created: boolean; key: BlockedKey }>;
  readBlockedKey(spkiSha256: Buffer): Promise<BlockedKey | undefined>;
  /** By digest, after `after`. */
  listBlockedKeys(after: Buffer | undefined, limit: number): Promise<BlockedKey[]>;
  /** False when it was not blocked. */
  unblock(spkiSha256: Buffer): Promise<boolean>;
}
