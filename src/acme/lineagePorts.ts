/** What renewal by possession asks of a store. A lineage is named by the serial number of its first certificate. */
import type { OnClone } from "../authority/ports.ts";

/** When evidence other than an earlier certificate was accepted, and by which grant; renewals pass it on. */
export interface PlatformRecord {
  /** RFC 3339. */
  readonly attestedAt: string;
  readonly grant: string;
  readonly grantVersion: string;
}

/** Which certificate was renewed; serials in hexadecimal. */
export interface RenewalRecord {
  /** The first of the lineage. */
  readonly lineage: string;
  readonly from: string;
  readonly onClone: OnClone;
}

/** A certificate of this server as it was shown for renewal. */
export interface ShownCertificate {
  /** SHA-256 of its DER. */
  readonly fingerprint: Buffer;
  readonly spiffeId: string | null;
  readonly lineage: Buffer;
  /** What proved its names, as it was recorded with it. */
  readonly evidence: unknown;
  /** Itself; or one of its lineage has a key that is blocked, or was revoked because its key is compromised. */
  readonly revoked: boolean;
  /** The newest of its lineage, issued or on its way. */
  readonly newest: Buffer;
  /** When a certificate of the lineage was shown that had been renewed before. */
  readonly clonedAt: Date | null;
}

/** Who showed a certificate that had been renewed before, and what follows. */
export interface ShownClone {
  readonly lineage: Buffer;
  readonly serial: Buffer;
  readonly identity: string;
  readonly accountId: string;
  readonly onClone: OnClone;
}

export interface LineageStore {
  readShown(serial: Buffer): Promise<ShownCertificate | undefined>;
  /** Marks the lineage, tells of it, and quarantines the identity where that follows; nothing where the certificate is the newest. */
  markCloned(clone: ShownClone): Promise<void>;
}
