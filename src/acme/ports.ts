/**
 * What the ACME room needs from a store, and the objects it deals in (RFC 8555 §7.1). Every read and every change names the account:
 * an object of another account does not exist. Each method is one statement: atomic, and durable once it resolves.
 */
import type { BindingLevel, Claims } from "../attestation/evidence.ts";
import type { ProblemDocument } from "../problem/problem.ts";
import type { AccountStatus, AuthorizationStatus, ChallengeStatus, OrderStatus } from "./state.ts";

export interface Identifier {
  readonly type: "dns" | "ip" | "uri";
  /** Canonical: `dns` lower-case (with `*.` in orders for wildcards), `ip` RFC 5952 text, `uri` to the byte. */
  readonly value: string;
}

export interface Account {
  readonly id: string;
  readonly status: AccountStatus;
  readonly jwk: Readonly<Record<string, string>>;
  /** RFC 7638 thumbprint, SHA-256, 32 bytes. */
  readonly thumbprint: Buffer;
  readonly contact: readonly string[];
  readonly termsAgreedAt: Date | null;
}

export type ChallengeType = "http-01" | "dns-01" | "tls-alpn-01" | "workload-attest-01";

/** What evidence would do for a challenge: the `accept` member of workload-attest-01. */
export interface Accept {
  readonly format: string;
  readonly ref: string;
  readonly minBinding: BindingLevel;
}

export interface Challenge {
  readonly type: ChallengeType;
  readonly token: string;
  readonly status: ChallengeStatus;
  /** RFC 3339, seconds. */
  readonly validated?: string;
  readonly error?: ProblemDocument;
  /** workload-attest-01 only: these three and `expires`. */
  readonly binding?: "wa1-sha256";
  readonly audience?: string;
  readonly accept?: readonly Accept[];
  readonly expires?: string;
}

/** What a valid workload-attest-01 challenge leaves with its authorization; it travels on to the certificate. */
export interface AttestationRecord {
  /** S: base64url SHA-256 of the SubjectPublicKeyInfo that the evidence vouched for. */
  readonly spki: string;
  readonly source: string;
  readonly format: string;
  /** Hex SHA-256 of the evidence. */
  readonly digest: string;
  readonly bindingLevel: BindingLevel;
  readonly instance?: string;
  readonly grant: string;
  readonly grantVersion: string;
  readonly claims: Claims;
  /** RFC 3339; the certificate must not outlive it. */
  readonly notAfterCap?: string;
}

export interface Authorization {
  readonly id: string;
  readonly orderId: string | null;
  /** Of the order it was made with: a grant gives an identity under one profile. */
  readonly profile: string;
  readonly identifier: Identifier;
  readonly wildcard: boolean;
  readonly status: AuthorizationStatus;
  readonly expiresAt: Date;
  readonly challenges: readonly Challenge[];
  readonly attestation: AttestationRecord | null;
}

export interface Order {
  readonly id: string;
  readonly status: OrderStatus;
  readonly identifiers: readonly Identifier[];
  readonly authorizationIds: readonly string[];
  readonly profile: string;
  readonly profileHash: Buffer;
  readonly notBefore: Date | null;
  readonly notAfter: Date | null;
  readonly expiresAt: Date;
  readonly error: ProblemDocument | null;
  readonly certificateSerial: Buffer | null;
}

/** `status` is the account's: the caller refuses when it is not `valid`, before it looks at the object. */
export interface Owned<T> {
  readonly status: AccountStatus | undefined;
  readonly object: T | undefined;
}

export interface NewAccount {
  readonly id: string;
  readonly thumbprint: Buffer;
  readonly jwk: Readonly<Record<string, string>>;
  readonly contact: readonly string[];
  readonly termsAgreedAt: Date | null;
}

export interface NewAuthorization {
  readonly id: string;
  readonly identifier: Identifier;
  readonly wildcard: boolean;
  readonly expiresAt: Date;
  readonly challenges: readonly Challenge[];
}

export interface NewOrder {
  readonly id: string;
  readonly accountId: string;
  readonly identifiers: readonly Identifier[];
  readonly profile: string;
  readonly profileHash: Buffer;
  readonly notBefore: Date | null;
  readonly notAfter: Date | null;
  readonly expiresAt: Date;
  readonly authorizations: readonly NewAuthorization[];
}

export interface AccountStore {
  /** The account of this key: made now, or the one that was there (one account per key, whoever races). */
  createAccount(account: NewAccount): Promise<{ created: boolean; account: Account }>;
  findAccountByThumbprint(thumbprint: Buffer): Promise<Account | undefined>;
  findAccount(id: string): Promise<Account | undefined>;
  /** Undefined when the account is not `valid` any more. */
  updateContact(id: string, contact: readonly string[]): Promise<Account | undefined>;
  /** Deactivates and ends what is pending (RFC 8555 §7.3.6); undefined when the account was not `valid`. */
  deactivateAccount(id: string): Promise<Account | undefined>;
  /** Changes the key where it still is `oldThumbprint` and nobody has the new one (RFC 8555 §7.3.5). */
  changeKey(
    id: string,
    oldThumbprint: Buffer,
    key: { thumbprint: Buffer; jwk: Readonly<Record<string, string>> },
  ): Promise<{ outcome: "changed" | "stale" } | { outcome: "taken"; by: string }>;
}

export interface OrderStore {
  /** False when the account is not `valid`: nothing was made. */
  createOrder(order: NewOrder): Promise<boolean>;
  readOrder(accountId: string, orderId: string): Promise<Owned<Order>>;
  /** Order ids, newest last, without the invalid ones; at most `limit`, after `after`. */
  listOrders(accountId: string, after: string | undefined, limit: number): Promise<Owned<string[]>>;
  /**
   * The order with its authorizations, and whether `keyThumbprint` is some account's key (RFC 8555 §11.1).
   */
  readForFinalize(
    accountId: string,
    orderId: string,
    keyThumbprint: Buffer | undefined,
  ): Promise<Owned<{ order: Order; authorizations: Authorization[]; keyIsAccountKey: boolean }>>;
  readAuthorization(accountId: string, authorizationId: string): Promise<Owned<Authorization>>;
  /** Deactivates a pending or valid authorization; its unfinished order becomes invalid. Undefined when it was neither. */
  deactivateAuthorization(accountId: string, authorizationId: string): Promise<Authorization | undefined>;

  /** Moves one pending challenge to `processing`; undefined when another request was first or it is not pending. */
  beginValidation(accountId: string, authorizationId: string, challenge: Challenge): Promise<Authorization | undefined>;
  /** Challenge and authorization `valid`, the order one step nearer to `ready`. False when the authorization was not pending. */
  validated(authorizationId: string, challenge: Challenge, expiresAt: Date): Promise<boolean>;
  /** Challenge, authorization and order `invalid`. False when the authorization was not pending. */
  failed(authorizationId: string, challenge: Challenge): Promise<boolean>;
  /** The same as `validated`, with every piece of evidence marked as used, or nothing at all. */
  attested(attested: {
    accountId: string;
    authorizationId: string;
    challenge: Challenge;
    expiresAt: Date;
    attestation: AttestationRecord;
    evidence: readonly { oneTimeId: Buffer; source: string; replayUntil: Date }[];
  }): Promise<"attested" | "replayed" | "notPending">;
  /** Authorizations whose validation was begun before `before` and never ended (their process died), claimed by this call. */
  reclaimValidations(before: Date, limit: number): Promise<{ accountId: string; authorization: Authorization }[]>;
}

export interface StoredCertificate {
  readonly serial: Buffer;
  readonly der: Buffer;
  readonly issuerId: string;
  readonly accountId: string | null;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly spiffeId: string | null;
}

export interface CertificateStore {
  readCertificate(accountId: string, serial: Buffer): Promise<Owned<StoredCertificate>>;
  /** For revocation: whoever asks shows the certificate itself. */
  findCertificate(serial: Buffer): Promise<StoredCertificate | undefined>;
  /** True when the account holds valid authorizations now for every one of these identifiers. */
  holdsAuthorizations(accountId: string, identifiers: readonly Identifier[]): Promise<boolean>;
  /** `requireAccount` must be valid in the same statement. Exactly one caller gets "revoked". */
  revoke(revocation: {
    serial: Buffer;
    reason: number | undefined;
    revokedBy: string;
    requireAccount: string | undefined;
  }): Promise<"revoked" | "alreadyRevoked" | "accountNotValid">;
}
