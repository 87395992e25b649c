/** What the administration of instance pins asks of a store. Each method is one statement. */

/** A running instance and the accounts it belongs to (workload-attest-01, server rule 4). */
export interface InstancePin {
  /** `ref` of the source that named the instance. */
  readonly source: string;
  readonly instance: string;
  readonly mode: "once" | "strict" | "count" | "alert";
  /** How many accounts it may belong to; null for any number. */
  readonly most: number | null;
  /** RFC 7638 thumbprints of the keys that the accounts have now; the newest ones where any number is let through. */
  readonly accounts: readonly Buffer[];
  /** How often it was shown. */
  readonly shown: number;
  readonly firstSeenAt: Date;
  readonly lastSeenAt: Date;
  /** When the newest account joined others; null where it has one. */
  readonly sharedAt: Date | null;
  /** When the pin ends unless the instance is seen again; null where it has no end. */
  readonly expiresAt: Date | null;
}

export type PinKey = Pick<InstancePin, "source" | "instance">;

export interface InstancePinStore {
  /** Those that hold now, by source and instance, after `after`. */
  listPins(
    filter: { source?: string | undefined; instance?: string | undefined; shared: boolean },
    after: PinKey | undefined,
    limit: number,
  ): Promise<InstancePin[]>;
  /** The instance belongs to nobody. False when it did not before. */
  releasePin(pin: PinKey): Promise<boolean>;
}
