/** What the administration of revocations asks of a store, and of whoever carries actions out. */

/** By what certificates are revoked. */
export type RevocationKind =
  | "certificate"
  | "identity"
  | "key"
  | "account"
  | "grant"
  | "source"
  | "task"
  | "delegator"
  | "issuer";

/** What is revoked: serials and digests in hexadecimal, tasks and delegators as pseudonyms in hexadecimal, all else by name or id. */
export interface RevocationSubject {
  readonly kind: RevocationKind;
  readonly subject: string;
  /** Ref of the source that named a task or delegator. */
  readonly delegationSource: string | null;
}

/** What an operator orders. */
export interface NewRevocation extends RevocationSubject {
  readonly id: string;
  /** CRLReason (RFC 5280 §5.3.1); null for none. */
  readonly reason: number | null;
  readonly note: string | null;
  /** Puts the identities of what is revoked in quarantine. */
  readonly quarantine: boolean;
  /** Blocks the keys of what is revoked. */
  readonly blockKeys: boolean;
}

/** Certificates of one profile that would be revoked, or were. */
export interface CoveredProfile {
  readonly profile: string;
  readonly certificates: number;
  /** Of these, those that say nothing of where their revocation can be learned. */
  readonly uninformed: number;
}

/** What would be revoked: certificates in force that are not revoked yet. */
export interface RevocationCoverage {
  readonly certificates: number;
  readonly profiles: readonly CoveredProfile[];
  /** The first to end. */
  readonly serials: readonly Buffer[];
  readonly revokedBefore: number;
  /** Issuances under way that would be caught. */
  readonly underWay: number;
  /** When the last one ends of those without and with information about their revocation; null where there are none. */
  readonly uninformedEnd: Date | null;
  readonly informedEnd: Date | null;
}

/** One action, as far as it has come. */
export interface RevocationAction extends NewRevocation {
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly state: "running" | "done";
  /** Since then nothing can be recorded that it covers and that is not revoked. */
  readonly closedAt: Date | null;
  readonly doneAt: Date | null;
  readonly revoked: number;
  readonly revokedBefore: number;
  /** Issuances that were under way. */
  readonly caught: number;
  readonly quarantined: number;
  readonly blocked: number;
  readonly uninformed: number;
  readonly uninformedEnd: Date | null;
  readonly informedEnd: Date | null;
  /** When the last of its revocations was in a published list. */
  readonly publishedAt: Date | null;
}

/** The lists that have an action's revocations. */
export interface PublishedList {
  readonly issuerId: string;
  readonly shard: number;
  readonly revocations: number;
  /** Null where some are in no list yet. */
  readonly publishedAt: Date | null;
  readonly listNumber: number | null;
}

/** A server process, and since when it shows what an action has revoked. */
export interface ActionEffect {
  readonly process: string;
  readonly name: string;
  readonly seenAt: Date;
  readonly shownAt: Date | null;
}

export interface ActionFilter {
  readonly kind?: RevocationKind | undefined;
  readonly state?: "running" | "done" | undefined;
  readonly createdBy?: string | undefined;
  /** Serial of a certificate that it revoked. */
  readonly certificate?: Buffer | undefined;
}

/** What may have come since certificates were counted. */
export interface SinceCounted {
  /** Recorded or under way; negative where there were too many already. */
  readonly atMost: number;
  /** What was issued by then was counted. */
  readonly issuedAfter: Date;
}

export interface RevocationActionStore {
  /** What is known of the subject: false where nothing has this name or id. */
  exists(of: RevocationSubject): Promise<boolean>;
  /** A moment by which everything that was issued is recorded, and no more of it will be. */
  recordedUntil(): Promise<Date>;
  /** @param issuedUntil - counts what was issued by then; all where it is not given */
  coverage(of: RevocationSubject, now: Date, issuedUntil?: Date): Promise<RevocationCoverage>;
  /**
   * Writes the action and stops, in the same statement, whatever would issue more of it: every statement that begins once it resolves
   * knows. The certificates are left to whoever carries it out.
   */
  begin(revocation: NewRevocation, now: Date): Promise<RevocationAction>;
  /** The same where no more have come than `since` has it, counted by the same statement. Undefined where there are more: nothing was written. */
  beginAtMost(revocation: NewRevocation, now: Date, since: SinceCounted): Promise<RevocationAction | undefined>;
  read(id: string): Promise<RevocationAction | undefined>;
  /** Newest first, after the id `after`. */
  list(filter: ActionFilter, after: string | undefined, limit: number): Promise<RevocationAction[]>;
  /** Where its revocations are published. */
  lists(id: string): Promise<PublishedList[]>;
  /** Every process that was seen lately. */
  effects(id: string): Promise<ActionEffect[]>;
}

/** What nothing is issued by. */
export interface Suspension {
  readonly id: string;
  readonly kind: "grant" | "source" | "issuer";
  readonly subject: string;
  readonly action: string;
  readonly createdBy: string;
  readonly createdAt: Date;
  readonly liftedBy: string | null;
  readonly liftedAt: Date | null;
}

export interface SuspensionStore {
  list(open: boolean | undefined, after: string | undefined, limit: number): Promise<Suspension[]>;
  /** As it was lifted, now or before; undefined where there is none. */
  lift(id: string): Promise<Suspension | undefined>;
}
