/** What the OCSP responder needs from a store. */
import type { CertIdHash } from "../x509/ocspRequest.ts";

/** When and why a certificate was revoked; whole seconds. */
export interface RecordedRevocation {
  readonly at: Date;
  /** CRLReason (RFC 5280 §5.3.1); null where none was given. */
  readonly reason: number | null;
}

/** A response as it stands in the database: the same octets for every process. */
export interface StoredResponse {
  /** DER OCSPResponse. */
  readonly der: Buffer;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  /** When another one is to be made. */
  readonly refreshAt: Date;
}

/** What is known of one certificate, in one look. */
export interface RecordedStatus {
  readonly issuerId: string;
  /** Of the certificate. */
  readonly notAfter: Date;
  readonly revocation: RecordedRevocation | null;
  /** The response that says just this, is not past its nextUpdate, and was not made by a clock that has been put back since. */
  readonly response: StoredResponse | undefined;
}

/** A response that was made. */
export interface MadeResponse extends StoredResponse {
  readonly serial: Buffer;
  readonly hash: CertIdHash;
  readonly issuerId: string;
  /** Of the certificate. */
  readonly notAfter: Date;
  readonly revoked: boolean;
}

/** A response that is to be made ahead of being asked for. */
export interface DueResponse extends Omit<RecordedStatus, "response"> {
  readonly serial: Buffer;
  readonly hash: CertIdHash;
}

/** Whose certificates get responses before anybody asks. */
export interface AheadOfRequests {
  readonly profile: string;
  /** Certificates that live no longer have no pointer to the responder (RFC 9608). */
  readonly longerThanSeconds: number;
}

/** Where responses are kept, and what they are made from. */
export interface OcspResponseStore {
  /** Undefined where no certificate with this serial number was recorded. */
  find(serial: Buffer, hash: CertIdHash, now: Date): Promise<RecordedStatus | undefined>;
  /**
   * Keeps a response while what it says is so, in place of one that says otherwise, is due at `now` or is of a minute later and more. False when it is not so any more, or
   * another process was faster: then nothing changed, and what stands there counts.
   */
  keep(response: MadeResponse, now: Date): Promise<boolean>;
  /** Serial numbers of what was revoked in the last so many seconds, at most `limit`; each has its response made anew. */
  revokedLately(seconds: number, limit: number): Promise<Buffer[]>;
  /** Marks certificates recorded after `since` for responses ahead of requests, at most `limit`; how many there were. */
  markAhead(of: readonly AheadOfRequests[], since: Date, limit: number): Promise<number>;
  /** Takes what is due before `before`; each goes to one caller at a time, and to nobody else for `leaseSeconds`. */
  takeDue(before: Date, leaseSeconds: number, limit: number): Promise<DueResponse[]>;
}
