/** What orders that come with their evidence need from a store. Each method is one statement. */
import type { Intent } from "../authority/ports.ts";
import type { ProblemDocument } from "../problem/problem.ts";
import type { AttestationRecord, Challenge, EvidenceUses, Identifier, NewOrder, Signer } from "./ports.ts";

/** What must be so of account and identifier for either outcome. */
export interface Admission {
  readonly identifier: Identifier;
  /** SHA-256 of the SubjectPublicKeyInfo of the account's key: one that is blocked gets nothing. */
  readonly accountSpkiSha256: Buffer;
  /** What the account must have agreed to. */
  readonly termsOfService: string | undefined;
}

/** An order, its one authorization and what proved that, as they are to be when the certificate's intent is written. */
export interface AttestedOrder extends Admission, EvidenceUses {
  readonly order: Pick<NewOrder, "identifiers" | "notBefore" | "notAfter" | "expiresAt" | "replaces">;
  readonly authorization: {
    readonly id: string;
    readonly expiresAt: Date;
    readonly challenges: readonly Challenge[];
    readonly attestation: AttestationRecord;
  };
  /** Of the key to be certified: JWK thumbprint (RFC 7638), 32 octets, and SHA-256 of its SubjectPublicKeyInfo. */
  readonly key: { readonly thumbprint: Buffer; readonly spkiSha256: Buffer };
}

/** Why a statement did nothing. */
export type NotAdmitted =
  | { readonly reason: "blockedKey" }
  | { readonly reason: "quarantined" }
  | { readonly reason: "paused"; readonly identifiers: readonly Identifier[] }
  | { readonly reason: "keyIsAccountKey" }
  | { readonly reason: "keyIsBlocked" };

export interface AttestedOrderStore {
  /**
   * Durable before it resolves, and all or nothing: the order, `processing`; its authorization, valid; every piece of evidence marked as
   * used, every instance pinned; a row of failures ended; the intent, whose order it is. `notIntended` when the signer's account is not
   * valid or has not agreed to the terms of service, when `whyNotAdmitted` says why, or as `createOrder` has it for an order that
   * replaces a certificate. `notIssuing`, `keyIsUsed` and `suspended` as `IssuanceLedger.intend` has them.
   */
  intend(
    signer: Signer,
    order: AttestedOrder,
    intent: Intent,
  ): Promise<"intended" | "notIntended" | "notIssuing" | "keyIsUsed" | "suspended" | "replayed" | "pinned">;
  /** Asked when `intend` or `refused` did nothing. Keys of the certificate only where there is one. */
  whyNotAdmitted(signer: Signer, admission: Admission, key?: AttestedOrder["key"]): Promise<NotAdmitted | undefined>;
  /** One more failure in a row of the account's identifier, and an audit entry. False when the account may not order: nothing was done. */
  refused(signer: Signer, admission: Admission, error: ProblemDocument): Promise<boolean>;
}
