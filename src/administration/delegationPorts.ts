/** What the administration of delegations asks of a store, and of whoever makes pseudonyms. */

export type DelegationKind = "delegator" | "task";

/** Whom or what is ended, as a pseudonym. */
export interface DelegationEnd {
  /** Of the revocation, as operators find it in their list. */
  readonly id: string;
  readonly kind: DelegationKind;
  readonly source: string;
  readonly pseudonym: Buffer;
  readonly reason: string;
}

export interface EndedDelegation {
  readonly revoked: readonly Buffer[];
}

/** What nothing is issued for. Who or what it is, only whoever has the key of the pseudonyms and a name to try can tell. */
export interface EndedSubject {
  readonly kind: DelegationKind;
  readonly source: string;
  readonly pseudonym: Buffer;
  readonly reason: string;
  readonly endedAt: Date;
}

export interface DelegationStore {
  /** Certificates under it that have not expired and are not revoked: how many, and the newest few. */
  coverage(
    pseudonym: Buffer,
    now: Date,
  ): Promise<{ readonly certificates: number; readonly serials: readonly Buffer[] }>;
  /**
   * From now on nothing is issued under it, and what was is revoked. Each half is atomic; whoever repeats it after a failure between the
   * two ends with the same.
   */
  end(end: DelegationEnd, now: Date): Promise<EndedDelegation>;
  /** What is ended now, by pseudonym, after the pseudonym `after`. */
  listEnded(after: Buffer | undefined, limit: number): Promise<EndedSubject[]>;
  /** Lets certificates be issued under it again; what is revoked stays so. False where it was not ended. */
  resume(pseudonym: Buffer): Promise<boolean>;
}

/** Keyed hash of a person or task as a source names it. */
export type Pseudonym = (kind: DelegationKind, source: string, name: string) => Buffer;
