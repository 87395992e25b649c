/**
 * The vocabulary of attestation: what a workload shows, what a verifier makes of it. RFC 9334 (RATS) terms. Knows no ACME.
 */

import { createHash } from "node:crypto";

/** Binding levels of workload-attest-01, strongest first. */
export const bindingLevels = ["nonce", "key", "bearer", "document"] as const;
export type BindingLevel = (typeof bindingLevels)[number];

/** True when `reached` is at least as strong as `least`. */
export function meetsBindingLevel(reached: BindingLevel, least: BindingLevel): boolean {
  return bindingLevels.indexOf(reached) <= bindingLevels.indexOf(least);
}

/** One item of the `evidence` array of a challenge response, already checked for shape and size. */
export interface EvidenceItem {
  readonly format: string;
  readonly ref: string;
  /** A compact JWT, or base64url of a binary format's octets. */
  readonly value: string;
  /** What goes with the evidence and is no evidence itself: certificates, collateral. Base64url, PEM or JSON texts; undefined is none. */
  readonly endorsements?: Endorsements;
}
export type Endorsements = Readonly<Record<string, string | readonly string[]>>;

/** What verification may look at besides the evidence itself. Verification is pure in all of it. */
export interface VerificationContext {
  readonly now: Date;
  /** Audience of this server, for example `https://ca.example/wa`; directory `meta.workloadAttestation.audience`. */
  readonly audience: string;
  /**
   * The binding value B as base64url (43 characters). Nonce-bound tokens carry `<audience>/<B>` as their audience. Undefined where the
   * challenge commits to no certificate key: nothing can be bound to one then.
   */
  readonly binding: string | undefined;
  /** What the evidence is to prove; a format that names its subject itself must name this, byte for byte. */
  readonly identifier: { readonly type: string; readonly value: string };
  /** SHA-256 thumbprint (RFC 7638) of the key that signs the requests, 32 bytes; sender-constrained evidence names it. */
  readonly accountKey: Buffer;
  /** The last credential that was given out in this challenge; never one with inlineEvidence. */
  readonly activation?: Activation | undefined;
  /** Of a challenge that devices answer: token and account key (RFC 8555 §8.1). Undefined where the challenge binds by `binding`. */
  readonly keyAuthorization?: string;
}

/** What is kept of a credential for a TPM, to know the answer by. */
export interface Activation {
  /** The source that gave it out, and the only one that it counts with. */
  readonly ref: string;
  /** SHA-256 of the secret in it, base64url. */
  readonly secretSha256: string;
  /** TPM's name of the attestation key that it was made for, hex. */
  readonly akName: string;
  /** SHA-256 of the endorsement key's SubjectPublicKeyInfo, hex. */
  readonly ekSha256: string;
  /** What the endorsement key's certificate says. */
  readonly claims: Claims;
}

/** A credential, for the client, and what is kept of it. */
export interface ActivationOffer {
  readonly kept: Activation;
  /** TPM2B_ID_OBJECT. */
  readonly credentialBlob: Buffer;
  /** TPM2B_ENCRYPTED_SECRET. */
  readonly encryptedSecret: Buffer;
}

/** A JSON value as found in a claim. */
export type ClaimValue =
  | string
  | number
  | boolean
  | null
  | readonly ClaimValue[]
  | { readonly [name: string]: ClaimValue };
export type Claims = { readonly [name: string]: ClaimValue };

/** True for a JSON object, as opposed to an array, null or a scalar. */
export function isClaims(value: ClaimValue | undefined): value is Claims {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value of a claim. Only own members count: one called `constructor` must not be found where there is none. */
export function claimOf(claims: Claims, name: string): ClaimValue | undefined {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

/** Evidence that verified: attestation results in the sense of RFC 9334. */
export interface VerifiedEvidence {
  readonly format: string;
  readonly ref: string;
  readonly claims: Claims;
  readonly bindingLevel: BindingLevel;
  /** SHA-256 of the evidence value as it was sent; what the inventory keeps instead of the evidence. */
  readonly digest: Buffer;
  /** What makes it usable once: SHA-256 of source and `jti`, or of the whole evidence. Unique in the store until `replayUntil`. */
  readonly oneTimeId: Buffer;
  readonly replayUntil: Date;
  /** When the evidence itself ends, where it says so; an authorization given for it must not live longer. */
  readonly expires?: Date;
  /** The running instance (pod UID, run id …) where the format names one. */
  readonly instance?: string;
  /** A certificate issued on this evidence must not outlive this instant. */
  readonly notAfterCap?: Date;
  /** Where the evidence is a certificate of this server: its serial number, and the SHA-256 of its DER. */
  readonly renews?: { readonly serial: Buffer; readonly fingerprint: Buffer };
  /** Where the evidence fixes the key to be certified: its JWK thumbprint (RFC 7638), SHA-256, base64url. */
  readonly certificateKey?: string;
}

/** Why evidence was refused: the `subproblems[].type` of workload-attest-01, as a closed set. */
export type EvidenceRefusal =
  | "evidenceMalformed"
  | "evidenceInvalid"
  | "evidenceExpired"
  | "evidenceReplayed"
  | "bindingMissing"
  | "bindingMismatch"
  | "sourceNotConfigured"
  | "formatNotAccepted"
  | "instancePinned"
  | "instanceCloned"
  | "measurementMismatch"
  | "identityNotDerived"
  | "approvalRequired";

/** The evidence is bad; the challenge fails for it. `message` is shown to the client and never quotes the evidence. */
export class EvidenceRefused extends Error {
  override readonly name = "EvidenceRefused";
  readonly code: EvidenceRefusal;
  constructor(code: EvidenceRefusal, message: string) {
    super(message);
    this.code = code;
  }
}

/** The evidence is not of its format, or over a limit. */
export const malformed = (message: string): EvidenceRefused => new EvidenceRefused("evidenceMalformed", message);
/** Nobody who counts has signed this, or what was signed does not hold. */
export const invalid = (message: string): EvidenceRefused => new EvidenceRefused("evidenceInvalid", message);
/** Genuine, and not what the source takes. */
export const mismatch = (message: string): EvidenceRefused => new EvidenceRefused("measurementMismatch", message);

/** Trust material could not be had (JWKS unreachable …): our trouble, the challenge stays pending with Retry-After. */
export class SourceUnavailable extends Error {
  override readonly name = "SourceUnavailable";
}

/**
 * What makes evidence usable once where it has no id of its own: its source and the octets that were signed. The signature is left out,
 * because whoever holds an ECDSA signature can make a second one of it.
 */
export function oneTimeIdOfEvidence(ref: string, signed: Uint8Array): Buffer {
  return createHash("sha256").update(`evidence\0${ref}\0`).update(signed).digest();
}

/** Key material of one source, behind whatever fetching and caching it needs. */
export interface SourceKeys {
  /** The source's JWK Set now. @throws {SourceUnavailable} */
  jwks(options?: { readonly refresh: boolean }): Promise<JsonWebKeySet>;
}
export interface JsonWebKeySet {
  readonly keys: readonly Record<string, unknown>[];
}
