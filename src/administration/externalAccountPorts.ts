/** What the administration of external account keys (RFC 8555 §7.3.4) asks of a store. Each method is one statement. */

/** Shape and meaning are those of the ACME room, which enforces them. */
export interface AllowedIdentifiers {
  readonly dns?: readonly string[];
  readonly ip?: readonly string[];
  readonly spiffe?: readonly string[];
  readonly permanentIdentifiers?: readonly string[];
}

export interface NewExternalAccountKey {
  /** The key id that clients name: 1 to 100 of `[A-Za-z0-9._~-]`. */
  readonly id: string;
  readonly directory: string;
  /** Kept sealed; no method gives it back. */
  readonly macKey: Buffer;
  readonly description: string | null;
  /** What its accounts may have; null for anything. */
  readonly identifiers: AllowedIdentifiers | null;
  readonly profiles: readonly string[] | null;
  /** Accounts that it may make; null for any number. */
  readonly usesMax: number | null;
  readonly expiresAt: Date | null;
}

export interface ExternalAccountKey extends Omit<NewExternalAccountKey, "macKey"> {
  /** Null where they are not counted. */
  readonly uses: number | null;
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
  /** True when it may make another account now. */
  readonly usable: boolean;
}

export interface ExternalAccountKeyStore {
  /** Undefined when the id is taken. */
  createKey(key: NewExternalAccountKey): Promise<ExternalAccountKey | undefined>;
  readKey(id: string): Promise<ExternalAccountKey | undefined>;
  /** Ids of accounts that it made, newest first. */
  accountsOf(id: string, limit: number): Promise<string[]>;
  /** Newest first, after the id `after`. */
  listKeys(
    filter: { readonly directory?: string; readonly usable?: boolean },
    after: string | undefined,
    limit: number,
  ): Promise<ExternalAccountKey[]>;
  /**
   * The key as it was revoked, now or before, and how many of its accounts ended with this (RFC 8555 §7.3.6), where that is asked for;
   * undefined where there is no such key.
   */
  revokeKey(
    id: string,
    how: { readonly deactivateAccounts: boolean },
  ): Promise<{ readonly key: ExternalAccountKey; readonly deactivatedAccounts: number } | undefined>;
}
