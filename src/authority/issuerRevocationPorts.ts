/** What the revocation of an issuing CA by its root needs from a store. */
import type { StoredIssuer } from "./ports.ts";

/** What is to be revoked, as whoever decided saw it. */
export interface IssuerRevocation {
  readonly id: string;
  /** Its state; in another one nothing is done. */
  readonly state: StoredIssuer["state"];
  /** What issues in its place from then on; null where nothing does, or it did not issue. */
  readonly nextId: string | null;
  /** Of its certificate: the content of the INTEGER. */
  readonly serialNumber: Buffer;
  /** CRLReason (RFC 5280 §5.3.1). */
  readonly reason: number;
  /** Why, for the audit trail. */
  readonly note: string;
  readonly actor: string;
}

export interface IssuerRevocationStore {
  /**
   * Atomic: it is revoked, and retiring (retired where it never issued); its certificate is on no list yet; the next one is active; audit entries
   * and events. False where something was not as expected, and nothing changed.
   */
  revokeIssuer(revocation: IssuerRevocation): Promise<boolean>;
}
