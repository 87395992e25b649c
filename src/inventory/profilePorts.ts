/** What the inventory asks of a store about profiles: reading only. */

/** A profile as it was when something was issued under it, or could have been. */
export interface ProfileRecord {
  readonly hash: Buffer;
  readonly name: string;
  /** Complete, with name. */
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly firstSeenAt: Date;
}

export interface ProfileStore {
  readProfile(hash: Buffer): Promise<ProfileRecord | undefined>;
}
