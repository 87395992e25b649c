/** What the inventory asks of a store: reading only. Nothing here changes a row. */

export type CertificateState = "valid" | "expired" | "revoked";

export interface CertificateFilter {
  readonly spiffeId?: string;
  /** SPIFFE IDs below this one, by whole path segments: `spiffe://td/a` finds `spiffe://td/a` and `spiffe://td/a/b`, not `/ab`. */
  readonly spiffeIdPrefix?: string;
  /** To the octet. */
  readonly permanentIdentifier?: string;
  readonly dnsName?: string;
  readonly serial?: Buffer;
  readonly state?: CertificateState;
  readonly issuedAfter?: Date;
  readonly issuedBefore?: Date;
  readonly expiresAfter?: Date;
  readonly expiresBefore?: Date;
  /** Pseudonym of the task or the delegator for whom they were issued. */
  readonly delegation?: Buffer;
  /** Id of an incident, open or ended, that covers them. */
  readonly incident?: string;
}

/** A place in a list that is ordered by time, newest first. */
export interface Position {
  readonly at: Date;
  readonly key: string;
}

export interface CertificateRecord {
  readonly serial: Buffer;
  readonly fingerprint: Buffer;
  readonly der: Buffer;
  readonly issuerId: string;
  readonly identityId: string;
  readonly identity: string;
  readonly door: string;
  readonly orderId: string | null;
  readonly accountId: string | null;
  readonly spiffeId: string | null;
  readonly permanentIdentifier: string | null;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly profile: string;
  readonly profileHash: Buffer;
  readonly spkiSha256: Buffer;
  readonly evidence: unknown;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly issuedAt: Date;
  readonly revokedAt: Date | null;
  readonly revocationReason: number | null;
  readonly revokedBy: string | null;
  /** Id and note of the action that revoked it; null for a revocation from before there were any, or of an ended delegation. */
  readonly revocationAction: string | null;
  readonly revocationNote: string | null;
  /** When it was first in a published list, and the number of that. */
  readonly revocationPublishedAt: Date | null;
  readonly revocationListNumber: number | null;
  /** Serial of the certificate whose place it took (RFC 9773 §5). */
  readonly replaces: Buffer | null;
  /** Serial of the one that took its place. */
  readonly replacedBy: Buffer | null;
  /** Ids of the open incidents that cover it. */
  readonly incidents: readonly string[];
}

export interface IdentityRecord {
  readonly id: string;
  readonly kind: "spiffe" | "device" | "names";
  readonly name: string;
  readonly firstIssuedAt: Date;
  readonly lastIssuedAt: Date;
  readonly certificateCount: number;
  readonly newestSerial: Buffer;
}

export interface InventoryStore {
  /** Newest first; `after` is the position of the last one already seen. */
  findCertificates(
    filter: CertificateFilter,
    after: Position | undefined,
    limit: number,
    now: Date,
  ): Promise<CertificateRecord[]>;
  readCertificate(serial: Buffer): Promise<CertificateRecord | undefined>;
  /** By name, after the name `after`. */
  findIdentities(prefix: string | undefined, after: string | undefined, limit: number): Promise<IdentityRecord[]>;
}
