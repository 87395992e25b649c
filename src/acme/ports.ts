/**
 * What the ACME room needs from a store, and the objects it deals in (RFC 8555 §7.1). Every read and every change names the account:
 * an object of another account does not exist. Each method is one statement: atomic, and durable once it resolves.
 */
import type { Activation, BindingLevel, Claims } from "../attestation/evidence.ts";
import type { Pinning } from "../attestation/format.ts";
import type { StoredGrant } from "../authority/ports.ts";
import type { ProblemDocument } from "../problem/problem.ts";
import type { PlatformRecord, RenewalRecord } from "./lineagePorts.ts";
import type { AccountStatus, AuthorizationStatus, ChallengeStatus, OrderStatus } from "./state.ts";

/**
 * Who signed a request, as every statement looks for it: this account, of this directory, still with this key. What changed on another
 * replica a moment ago counts at once, and nothing has to be told to anybody.
 */
export interface Signer {
  readonly id: string;
  readonly directory: string;
  /** RFC 7638 thumbprint of the key that verified the request, 32 bytes. */
  readonly thumbprint: Buffer;
}

/** The account's status; `superseded` when it has another key than the signer by now. */
export type SignerStatus = AccountStatus | "superseded";

export interface Identifier {
  readonly type: "dns" | "ip" | "uri" | "permanent-identifier";
  /** Canonical: `dns` lower-case (with `*.` in orders for wildcards), `ip` RFC 5952 text, the others to the byte. */
  readonly value: string;
}

export type ChallengeType =
  | "http-01"
  | "dns-01"
  | "tls-alpn-01"
  | "dns-account-01"
  | "dns-persist-01"
  | "workload-attest-01"
  | "tkauth-01"
  | "device-attest-01";

/** What evidence would do for a challenge: the `accept` member of workload-attest-01. */
export interface Accept {
  readonly format: string;
  readonly ref: string;
  readonly minBinding: BindingLevel;
  /** What must be shown together with it. */
  readonly with?: readonly Omit<Accept, "with">[];
}

/** A token authority that could vouch for an identifier, by the name of its source. */
export interface Authority {
  readonly ref: string;
  /** `token-authority` of the challenge (RFC 9447 §3). */
  readonly url: string | undefined;
}

export interface Challenge {
  readonly type: ChallengeType;
  readonly token: string;
  readonly status: ChallengeStatus;
  /** RFC 3339, seconds. */
  readonly validated?: string;
  /** Why it is `invalid`, or what has failed so far while it is `processing` (RFC 8555 §8.2, erratum 5732). */
  readonly error?: ProblemDocument;
  /** dns-persist-01 only: names of this CA, one of which the record has (revision 01 of its draft had the other spelling). */
  readonly issuerDomainNames?: readonly string[];
  readonly "issuer-domain-names"?: readonly string[];
  /** Ours, shown to nobody: on whose behalf the order is. */
  readonly delegation?: DelegationRecord;
  /** Ours, shown to nobody: when the next attempt is made, RFC 3339. */
  readonly retryAt?: string;
  /** Ours, shown to nobody: when CAA records permitted the name, RFC 3339. */
  readonly caaCheckedAt?: string;
  /** Ours, shown to nobody: the credential that was given out last, for workload-attest-01. */
  readonly activation?: Activation;
  /** workload-attest-01 only: these three. */
  readonly binding?: "wa1-sha256";
  readonly audience?: string;
  readonly accept?: readonly Accept[];
  /** tkauth-01 only (RFC 9447 §3): these two. */
  readonly "tkauth-type"?: "atc";
  readonly "token-authority"?: string;
  /** Of the challenges that are answered by evidence. RFC 3339, seconds. */
  readonly expires?: string;
}

/** What is kept of a piece of evidence. */
export interface EvidenceRecord {
  readonly source: string;
  readonly format: string;
  /** Hex SHA-256 of the evidence. */
  readonly digest: string;
  readonly bindingLevel: BindingLevel;
  readonly instance?: string;
}

/** What an attestation uses up. */
export interface EvidenceUses {
  /** Each once. */
  readonly evidence: readonly { oneTimeId: Buffer; source: string; replayUntil: Date }[];
  /** Running instances, each of another source, and to how many accounts one may belong. */
  readonly instances: readonly { source: string; instance: string; pinning: Pinning }[];
}

/** On whose behalf a certificate is: references and pseudonyms, lower-case hex, and nothing that names a person. */
export interface DelegationRecord {
  readonly source: string;
  /** SHA-256 of the token. */
  readonly reference: string;
  /** Keyed hashes of who delegated, and of the task, as the source names them. */
  readonly delegator: string;
  readonly task?: string;
  /** RFC 3339; no certificate outlives it. */
  readonly expires: string;
}

/** What a valid challenge that was answered by evidence leaves with its authorization; it travels on to the certificate. */
export interface AttestationRecord extends EvidenceRecord {
  readonly platform?: PlatformRecord;
  /** Where it renews a certificate by possession. */
  readonly renewal?: RenewalRecord;
  /** workload-attest-01: S, base64url SHA-256 of the SubjectPublicKeyInfo that the evidence vouched for. */
  readonly spki?: string;
  /** tkauth-01: base64url thumbprint of the account key that the token names; it signs finalize. */
  readonly accountKey?: string;
  /** Where the evidence fixes the key to be certified by itself, as that of device-attest-01 must: its base64url thumbprint. */
  readonly certificateKey?: string;
  readonly delegation?: DelegationRecord;
  /** What the grant asked for beside the evidence that made the identity. */
  readonly with?: readonly EvidenceRecord[];
  readonly grant: string;
  readonly grantVersion: string;
  readonly claims: Claims;
  /** RFC 3339; the certificate must not outlive it. */
  readonly notAfterCap?: string;
}

export interface Authorization {
  readonly id: string;
  /** The order that waits for it; none for a pre-authorization (RFC 8555 §7.4.1) that no order has taken. */
  readonly orderId: string | null;
  /** Of the order it was made with: a grant gives an identity under one profile. */
  readonly profile: string;
  readonly identifier: Identifier;
  readonly wildcard: boolean;
  /** True when it stands for every name below the identifier as well (RFC 9444). */
  readonly subdomains: boolean;
  readonly status: AuthorizationStatus;
  readonly expiresAt: Date;
  readonly challenges: readonly Challenge[];
  readonly attestation: AttestationRecord | null;
}

export interface Order {
  readonly id: string;
  readonly status: OrderStatus;
  readonly identifiers: readonly Identifier[];
  /** The authorization of each identifier, in the same order; one may stand for several (RFC 9444). */
  readonly authorizationIds: readonly string[];
  readonly profile: string;
  readonly profileHash: Buffer;
  readonly notBefore: Date | null;
  readonly notAfter: Date | null;
  readonly expiresAt: Date;
  readonly error: ProblemDocument | null;
  readonly certificateSerial: Buffer | null;
  /** Id of the certificate that it replaces (RFC 9773 §5), as the client wrote it. */
  readonly replaces: string | null;
}

/** `status` is the account's: the caller refuses when it is not `valid`, before it looks at the object. */
export interface Owned<T> {
  readonly status: SignerStatus | undefined;
  readonly object: T | undefined;
}

export interface NewAuthorization {
  readonly id: string;
  readonly identifier: Identifier;
  readonly wildcard: boolean;
  readonly subdomains: boolean;
  readonly expiresAt: Date;
  readonly challenges: readonly Challenge[];
}

/** What an identifier of an order is to be proved by: an authorization that is there, or else the one that is made. */
export interface WantedAuthorization extends NewAuthorization {
  /** True where one that is there does not do, because this order brings something of its own. */
  readonly fresh?: boolean;
  /** Names, nearest first, whose authorization would do if it stands for names below it as well (RFC 9444). */
  readonly ancestors: readonly string[];
}

/** The certificate that an order is to replace, and who may have issued it. */
export interface Replaces {
  readonly id: string;
  readonly serial: Buffer;
  readonly issuerIds: readonly string[];
}

export interface NewOrder {
  readonly id: string;
  readonly identifiers: readonly Identifier[];
  readonly profile: string;
  readonly profileHash: Buffer;
  readonly notBefore: Date | null;
  readonly notAfter: Date | null;
  readonly expiresAt: Date;
  readonly authorizations: readonly WantedAuthorization[];
  /** SHA-256 of the SubjectPublicKeyInfo of the account's key: one that is blocked gets no order. */
  readonly accountSpkiSha256: Buffer;
  /** For each identifier the index of its authorization. */
  readonly authorizationOf: readonly number[];
  /** Whether valid authorizations of other orders count for `dns` and `ip`; those of newAuthz always do. */
  readonly reuse: boolean;
  readonly replaces: Replaces | null;
  /** What the account must have agreed to. */
  readonly termsOfService: string | undefined;
  /** Name of the identity that it is for: one in quarantine gets no order. */
  readonly identityName: string;
}

/** What the store made of a new order: which authorizations prove it, and whether they all do already. */
export type MadeOrder = Pick<Order, "status" | "authorizationIds" | "expiresAt">;

export interface ForFinalize {
  readonly order: Order;
  readonly authorizations: readonly Authorization[];
  readonly keyIsAccountKey: boolean;
  readonly keyIsBlocked: boolean;
  readonly accountKeyIsBlocked: boolean;
}

/** An order that was not made because of what the account did before. */
export type OrderOverLimit =
  | { readonly reason: "paused"; readonly identifiers: readonly Identifier[] }
  | { readonly reason: "blockedKey" }
  | { readonly reason: "quarantined" }
  | { readonly reason: "tooManyPending"; readonly limit: number };

export interface FailedIdentifier {
  readonly accountId: string;
  readonly identifier: Identifier;
}

export interface OrderStore {
  /**
   * Makes the order, with authorizations that are there already where these do and new ones for the rest. An attested authorization
   * is taken by one order only. Undefined when the signer's account is not `valid`, has not agreed to the terms of service, or
   * `whyNoOrder` says why: nothing was made.
   * One that replaces a certificate is made where that is the account's, shares a name with the order, and no other order replaces it
   * that is valid or may become so; else undefined as well. However many ask at once, one gets it.
   */
  createOrder(signer: Signer, order: NewOrder): Promise<MadeOrder | undefined>;
  /** Which limit of the store an order was over, asked when it was not made; undefined when it was none. */
  whyNoOrder(signer: Signer, order: NewOrder): Promise<OrderOverLimit | undefined>;
  /** False when the signer's account is not `valid`, or has not agreed to `termsOfService`: nothing was made. */
  createAuthorization(
    signer: Signer,
    authorization: NewAuthorization,
    terms: { profile: string; termsOfService: string | undefined },
  ): Promise<boolean>;
  readOrder(signer: Signer, orderId: string): Promise<Owned<Order>>;
  /** Order ids, newest last, without the invalid ones; at most `limit`, after `after`. */
  listOrders(signer: Signer, after: string | undefined, limit: number): Promise<Owned<string[]>>;
  /**
   * The order with its authorizations, whether `keyThumbprint` is or was some account's key (RFC 8555 §11.1), and which of the
   * certificate's and the account's key is blocked.
   */
  readForFinalize(
    signer: Signer,
    orderId: string,
    keys: { thumbprint: Buffer | undefined; spkiSha256: Buffer | undefined; accountSpkiSha256: Buffer },
  ): Promise<Owned<ForFinalize>>;
  readAuthorization(signer: Signer, authorizationId: string): Promise<Owned<Authorization>>;
  /** Deactivates a pending or valid authorization; unfinished orders that need it become invalid. Undefined when it was neither. */
  deactivateAuthorization(signer: Signer, authorizationId: string): Promise<Authorization | undefined>;

  /** Moves one pending challenge to `processing`; undefined when another request was first or it is not pending. */
  beginValidation(signer: Signer, authorizationId: string, challenge: Challenge): Promise<Authorization | undefined>;
  /** Keeps a pending challenge with the credential that was given out for it, in place of an earlier one. False when it is not pending. */
  activationOffered(signer: Signer, authorizationId: string, challenge: Challenge): Promise<boolean>;
  /**
   * Keeps the challenge `processing`, with what has failed so far, and this process its keeper for another while. False when the
   * authorization is not pending any more.
   */
  retrying(authorizationId: string, challenge: Challenge): Promise<boolean>;
  /** Keeps validations that wait in this process its own for another while, where they are still to be made. */
  keepValidations(authorizationIds: readonly string[]): Promise<void>;
  /** Challenge and authorization `valid`, the order one step nearer to `ready`. False when the authorization was not pending. */
  validated(authorizationId: string, challenge: Challenge, expiresAt: Date): Promise<boolean>;
  /**
   * Challenge, authorization and order `invalid`, and one more failure in a row, which a success ends. Resolves to whose failure it
   * was; undefined when the authorization was not pending, or an order has taken it since it was read.
   */
  failed(
    authorization: Pick<Authorization, "id" | "orderId">,
    challenge: Challenge,
  ): Promise<FailedIdentifier | undefined>;
  /** The same as `validated`, with every piece of evidence marked as used and every instance pinned, or nothing at all. */
  attested(
    attested: EvidenceUses & {
      signer: Signer;
      authorizationId: string;
      /** As it was read: one that an order has taken meanwhile is `notPending` here, and is to be read again. */
      orderId: string | null;
      challenge: Challenge;
      expiresAt: Date;
      attestation: AttestationRecord;
      /** One that does not stand any more is `notPending` here, and the evidence is to be judged again; null for none of the database. */
      storedGrant: StoredGrant | null;
    },
  ): Promise<"attested" | "replayed" | "pinned" | "notPending">;
  /** Authorizations whose validation was begun before `before` and never ended (their process died), claimed by this call. */
  reclaimValidations(before: Date, limit: number): Promise<{ signer: Signer; authorization: Authorization }[]>;
}

export interface StoredCertificate {
  readonly serial: Buffer;
  readonly der: Buffer;
  readonly issuerId: string;
  readonly accountId: string | null;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly spiffeId: string | null;
  readonly permanentIdentifier: string | null;
}

export interface CertificateStore {
  readCertificate(signer: Signer, serial: Buffer): Promise<Owned<StoredCertificate>>;
  /** For revocation: whoever asks shows the certificate itself. */
  findCertificate(serial: Buffer): Promise<StoredCertificate | undefined>;
  /** True when the account holds valid authorizations now for every one of these identifiers. */
  holdsAuthorizations(signer: Signer, identifiers: readonly Identifier[]): Promise<boolean>;
  /** `requireAccount` must be valid, and still have the signer's key, in the same statement. Exactly one caller gets "revoked". */
  revoke(revocation: {
    /** Of the revocation itself, as operators find it in their list. */
    id: string;
    serial: Buffer;
    reason: number | undefined;
    revokedBy: string;
    requireAccount: Signer | undefined;
    /** SHA-256 of the SubjectPublicKeyInfo of a key that is to be blocked with it. */
    block?: Buffer | undefined;
  }): Promise<"revoked" | "alreadyRevoked" | "accountNotValid">;
}
