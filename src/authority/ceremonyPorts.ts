/** What ceremonies need from a store, besides `IssuerStore`. */
import type { NewIssuer } from "./ports.ts";

/** A certificate that came for an issuer that waits for it. */
export interface Certified {
  /** Of the issuer. */
  readonly id: string;
  /** DER. */
  readonly certificate: Buffer;
  readonly notAfter: Date;
  /** The CA above it, one of `above` or one that the database has. */
  readonly parentId: string;
  /** CAs above it that the database has not: a parent before its children. */
  readonly above: readonly NewIssuer[];
  /** Who did it, for the audit trail. */
  readonly actor: string;
}

/** A chain of CA certificates that starts with one for a key of ours; see alternateChains.ts. */
export interface StoredChain {
  readonly id: string;
  readonly certificates: readonly Buffer[];
}

export interface CertificateStore {
  /** Atomic: the certificate, the CAs above it, audit entry and event. False where the issuer does not wait any more, and nothing changed. */
  certify(certified: Certified): Promise<boolean>;
}

export interface ChainStore {
  /** Oldest first. */
  readChains(): Promise<StoredChain[]>;
  /** False where it is there already. */
  insertChain(chain: StoredChain, actor: string): Promise<boolean>;
}

export interface FirstActivation {
  /**
   * Lets an issuing CA that has its certificate issue, where its line has no active one: audit entry and event with it. False where it is
   * not so any more, and nothing changed.
   */
  activateFirst(id: string, actor: string): Promise<boolean>;
}
