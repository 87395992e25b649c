/** What external account binding (RFC 8555 §7.3.4) asks of a store, and what a binding means for an account. */

/**
 * What an account may have certificates for: an immutable fact of the account, written when it was made. A type that is not there is
 * not allowed.
 */
export interface AllowedIdentifiers {
  /** Canonical names, each with all names below it. */
  readonly dns?: readonly string[];
  /** Canonical addresses, or ranges as address and prefix length. */
  readonly ip?: readonly string[];
  /** Beginnings of SPIFFE IDs, of whole segments, without a trailing slash: `spiffe://domain` or `spiffe://domain/path`. */
  readonly spiffe?: readonly string[];
  /** Whole permanent identifiers. */
  readonly permanentIdentifiers?: readonly string[];
}

export interface Restrictions {
  /** Null for any. */
  readonly identifiers: AllowedIdentifiers | null;
  /** Names; null for any. */
  readonly profiles: readonly string[] | null;
}

/** A binding whose MAC has verified. */
export interface VerifiedBinding {
  readonly keyId: string;
  /** The flattened JWS as the client sent it; the account object shows it. */
  readonly jws: object;
}

export interface ExternalAccountKeys {
  /**
   * The MAC key of this id and directory, and whether it may make another account now. Takes as long where there is none.
   */
  findMacKey(directory: string, keyId: string): Promise<{ macKey: Buffer; usable: boolean } | undefined>;
}
