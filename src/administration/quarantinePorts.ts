/** What the administration of quarantines asks of a store. Each method is one statement. */

/** An identity that gets no certificates for a while. */
export interface Quarantine {
  readonly id: number;
  /** Name of the identity: a SPIFFE ID, or the sorted set of names. */
  readonly identity: string;
  readonly reason: string;
  /** `operator`, or `mayfly` where a clone was found. */
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly liftedBy: string | null;
  readonly liftedAt: Date | null;
}

export interface QuarantineStore {
  /** Counts for every statement that begins once it resolves. An identity that is in quarantine already stays as it is. */
  createQuarantine(identity: string, reason: string): Promise<{ created: boolean; quarantine: Quarantine }>;
  readQuarantine(id: number): Promise<Quarantine | undefined>;
  /** Newest first, after the id `after`. */
  listQuarantines(
    filter: { open?: boolean | undefined; identity?: string | undefined },
    after: number | undefined,
    limit: number,
  ): Promise<Quarantine[]>;
  /** The quarantine as it was lifted, now or before; undefined where there is none. */
  liftQuarantine(id: number): Promise<Quarantine | undefined>;
}
