/** What the authority needs from a store. The guarantees in the comments are what `nothing lost` rests on. */
import type { SignatureAlgorithm } from "../keys/signer.ts";
import type { IssuerState } from "./issuer.ts";

/** Which way a request for a certificate came in. */
export type Door = "acme" | "listener";

/** A grant of the database, as it read when it was decided by. What is done on its word is done only while it still reads so. */
export interface StoredGrant {
  readonly name: string;
  readonly version: string;
}

/** A version of a grant in the database, as it was written. */
export interface WrittenGrant {
  /** Increases with every version of any grant. */
  readonly sequence: number;
  readonly name: string;
  readonly version: string;
  readonly configuration: object;
  readonly owner: string | null;
  readonly comment: string | null;
  readonly createdAt: Date;
  readonly createdBy: string;
  /** True when another version took its place, or it was removed. */
  readonly ended: boolean;
}

/** How a process hears of changed grants. */
export interface GrantChanges {
  /**
   * What was written or ended after the change of this number, oldest first, and the number of the newest change. Nothing that is
   * committed before is missing. With -1 everything that stands.
   */
  changesSince(count: number): Promise<{ count: number; changed: readonly WrittenGrant[] }>;
}

/** What follows when a certificate is shown for renewal that is not the newest of its lineage. */
export type OnClone = "alert" | "refuse" | "quarantine";

/** A renewal by possession of an earlier certificate. */
export interface Renewal {
  /** Serial of the lineage's first certificate. */
  readonly lineage: Buffer;
  /** Serial of the certificate shown. */
  readonly previous: Buffer;
  readonly onClone: OnClone;
  /** The grant of the database by which the platform's evidence was accepted, which must still stand. */
  readonly platformGrant: StoredGrant | null;
}

/** Why an intent was not written; nothing was changed, but that a refused renewal ends its order and marks its lineage. */
export type NotIntended =
  | "notReady"
  | "notIssuing"
  | "quarantined"
  | "suspended"
  | "keyIsBlocked"
  | "keyIsUsed"
  | "cloned"
  | "revoked";

/** How often a profile lets a key be certified: without a rule, for one identity only, or once. */
export type KeyReuse = "any" | "identity" | "never";

/** One line of the inventory, before it has a signature: everything that will be recorded, and the bytes to be signed. */
export interface Intent {
  readonly serial: Buffer;
  /** DER TBSCertificate: signed as it is, now or when the intent is settled later. */
  readonly tbs: Buffer;
  readonly issuerId: string;
  readonly door: Door;
  readonly orderId: string | null;
  readonly accountId: string | null;
  readonly identityKind: "spiffe" | "device" | "names";
  readonly identityName: string;
  readonly spiffeId: string | null;
  readonly permanentIdentifier: string | null;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly profile: string;
  readonly profileHash: Buffer;
  readonly spkiSha256: Buffer;
  readonly keyReuse: KeyReuse;
  /** What proved the identity: attestation record or validated challenges, as the inventory shows it. */
  readonly evidence: unknown;
  /** Null where no grant of the database gave the identity. */
  readonly storedGrant: StoredGrant | null;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Null where it renews nothing by possession. */
  readonly renewal?: Renewal | null;
}

/** An intent that a stopped or failed process left behind. */
export interface OpenIntent {
  readonly serial: Buffer;
  readonly tbs: Buffer;
  readonly issuerId: string;
  readonly orderId: string | null;
  readonly notAfter: Date;
  /** Its identity was put in quarantine since. */
  readonly quarantined: boolean;
  /** A revocation covers it that was begun since. */
  readonly revoked: boolean;
  /** Whether its key was blocked since. */
  readonly blocked: boolean;
}

/** An issuance that lints stopped, before its intent: what somebody needs to look into it, and nothing secret. */
export interface RefusedIssuance extends Pick<
  Intent,
  "serial" | "issuerId" | "door" | "orderId" | "accountId" | "identityName" | "profile" | "profileHash" | "spkiSha256"
> {
  /** Each the name of a lint, and its source. */
  readonly findings: readonly string[];
  /** SHA-256 of the bytes that would have been signed. */
  readonly tbsSha256: Buffer;
}

/** Where profiles are kept, so that a certificate's hash can be read later on. */
export interface ProfileLedger {
  /** Done before anything is issued under them. @param profiles - with the JSON that was hashed */
  remember(profiles: readonly { readonly hash: Buffer; readonly name: string; readonly json: string }[]): Promise<void>;
}

/** Where issuance is recorded. */
export interface IssuanceLedger {
  /**
   * Durable before it resolves. For an order it is the same statement that moves the order from `ready` to `processing`, with
   * its account valid, all its authorizations valid, its identity in no quarantine, nothing suspended that it rests on and `storedGrant`
   * standing now: `notReady`, `quarantined` or `suspended` mean that one of these did not hold and nothing changed. `notIssuing`: the issuer
   * is not the one that issues any more, and nothing changed. `keyIsBlocked`: nobody may have a certificate for the key. `keyIsUsed`: it was
   * certified before, and `keyReuse` says no; of two intents at the same time the second is told so.
   * A renewal makes its certificate the newest of its lineage in the same statement, or is refused: `cloned` where the one shown is not the
   * newest any more, `revoked` where it is that.
   * @throws when the serial is intended already; one that was recorded is refused by `record`
   */
  intend(intent: Intent): Promise<"intended" | NotIntended>;
  /**
   * Atomic: the certificate, its identity, the order's state, the audit entry and the outbox event, or nothing. False when the
   * intent was settled by somebody else meanwhile: then that certificate counts, not this one.
   */
  record(serial: Buffer, certificate: Buffer): Promise<boolean>;
  /** Takes intents that nobody finished and nobody has tried since `before`; each goes to one caller at a time. */
  openIntents(before: Date, limit: number): Promise<OpenIntent[]>;
  /** Ends an intent that cannot be finished; its serial stays used, its order becomes invalid. */
  abandon(serial: Buffer, reason: string): Promise<void>;
  /** Atomic: an audit entry and an event about an issuance that lints stopped; its order, where there is one, becomes invalid. */
  refuse(refused: RefusedIssuance): Promise<void>;
  /** The same for an intent whose bytes break lints, in place of `abandon`. */
  refuseIntent(serial: Buffer, refused: Pick<RefusedIssuance, "findings" | "tbsSha256">): Promise<void>;
}

/** An issuer as the database has it. */
export interface StoredIssuer {
  readonly id: string;
  readonly kind: "root" | "intermediate" | "issuing";
  /** The line of issuers that it is one of. */
  readonly name: string;
  readonly generation: number;
  readonly state: IssuerState;
  /** DER. Null where it waits for a certificate. */
  readonly certificate: Buffer | null;
  /** DER certification request for the certificate that it waits, or waited, for. */
  readonly request: Buffer | null;
  /** Null where the key is elsewhere: a root of other people, or one that is kept offline. */
  readonly keyLabel: string | null;
  /** What its key signs with; null where the key alone tells. */
  readonly signatureAlgorithm: SignatureAlgorithm | null;
  readonly parentId: string | null;
  /** In how many lists its revoked certificates are told: a power of two, of which the URLs in certificates tell. */
  readonly crlShards: number;
  readonly createdAt: Date;
  readonly publishedAt: Date | null;
  readonly activatedAt: Date | null;
  readonly retiringAt: Date | null;
  readonly retiredAt: Date | null;
  /** When its root revoked it: it issues nothing from then on, and its lists go on until it is retired. */
  readonly revokedAt: Date | null;
}

/** An issuer to be written; the times of its state are set by the store. */
export interface NewIssuer extends Omit<
  StoredIssuer,
  "createdAt" | "publishedAt" | "activatedAt" | "retiringAt" | "retiredAt" | "revokedAt"
> {
  readonly notAfter: Date | null;
  /** SHA-256 of the key's SubjectPublicKeyInfo. */
  readonly spkiSha256: Buffer;
}

export interface IssuerStore {
  /** All there are, oldest first; one that waited for its certificate may be older than the CAs above it. */
  readIssuers(): Promise<StoredIssuer[]>;
  /**
   * All of them or none.
   * @param first true refuses when the database already has an issuer
   * @throws {Error} where one has the kind, name and generation of another, or would be active beside another
   */
  insertIssuers(issuers: readonly NewIssuer[], first?: boolean): Promise<void>;
  /** Runs `action` while no other process runs one: two first starts must not make two hierarchies, nor two rotations two issuers. */
  exclusively<T>(action: () => Promise<T>): Promise<T>;
}
