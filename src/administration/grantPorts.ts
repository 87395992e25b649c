/** What the administration of grants asks of a store. Each method is one statement. */

/** One text that a grant had, for good; only its end is added later. */
export interface GrantVersion {
  /** Increases with every version of any grant. */
  readonly sequence: number;
  readonly name: string;
  readonly version: string;
  readonly origin: "configuration" | "database";
  readonly configuration: object;
  readonly owner: string | null;
  readonly comment: string | null;
  readonly createdAt: Date;
  readonly createdBy: string;
  /** Null while it stands, and for one of the configuration, whose end nobody records. */
  readonly endedAt: Date | null;
  readonly endedBy: string | null;
  readonly endedAs: "replaced" | "removed" | null;
}

export interface NewGrantVersion {
  readonly name: string;
  readonly version: string;
  readonly configuration: object;
  readonly owner: string | null;
  readonly comment: string | null;
  readonly by: string;
  /** Versions of which one must stand, `*` for any; undefined where none may. */
  readonly expected: readonly string[] | undefined;
  /** Names that may stand at the same time. */
  readonly most: number;
}

export interface GrantStore {
  /**
   * Writes the version, ends the one that stood, and keeps both in the audit log. Undefined where what is expected does not stand, the
   * very same text stands already, or there are too many names: nothing changed then.
   */
  putGrant(written: NewGrantVersion): Promise<GrantVersion | undefined>;
  /** Ends the version that stands. Undefined where none of the expected ones does. */
  removeGrant(name: string, expected: readonly string[], by: string): Promise<GrantVersion | undefined>;
  /** The version of the database that stands. */
  readStanding(name: string): Promise<GrantVersion | undefined>;
  /** Newest first, those before the sequence number `before`. */
  listVersions(name: string, before: number | undefined, limit: number): Promise<GrantVersion[]>;
  /** The text of that version; where it was written several times, the newest. */
  readVersion(name: string, version: string): Promise<GrantVersion | undefined>;
}
