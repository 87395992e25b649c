/** What renewal information and replacement (RFC 9773) need from a store. Each method is one statement. */
import type { Signer } from "./ports.ts";

/** A certificate as renewal information looks at it. */
export interface Renewal {
  readonly serial: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly issuedAt: Date;
  readonly revokedAt: Date | null;
  /** The open incident that it is under, if any. */
  readonly incident: { readonly since: Date; readonly explanationUrl: string | null } | null;
}

/** The names of a certificate that an order is to replace. */
export interface Predecessor {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly spiffeId: string | null;
  readonly permanentIdentifier: string | null;
}

export interface RenewalStore {
  /** A certificate of this directory, by serial and by who may have issued it. */
  readRenewal(directory: string, serial: Buffer, issuerIds: readonly string[]): Promise<Renewal | undefined>;
  /** The signer's certificate; one of another account is none. */
  readPredecessor(signer: Signer, serial: Buffer, issuerIds: readonly string[]): Promise<Predecessor | undefined>;
}
