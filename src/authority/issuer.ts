/** An issuer: a CA key in a token together with its certificate, and its place in the rotation. */
import type { Chain, PublishedCertificate } from "./chain.ts";
import type { IssuingKey } from "./issuingKey.ts";

/**
 * Where an issuer stands. `prepared`: made, unknown to the outside, perhaps still without its certificate. `published`: relying parties can
 * find it (a root: in the bundle), nothing is issued by it. `active`: what issues. `retiring`: issues nothing new, certificates of its own
 * still count. `retired`: none does any more.
 */
export type IssuerState = "prepared" | "published" | "active" | "retiring" | "retired";

/** The line of issuers of a profile that names none. */
export const defaultIssuerName = "default";

/** An issuing CA whose key is here. */
export interface Issuer {
  readonly id: string;
  /** The line of issuers that it is one of; a profile names a line. */
  readonly name: string;
  /** Its number in that line, from 1. */
  readonly generation: number;
  readonly state: IssuerState;
  /** What its certificates are for, and its lists about: end entities, or CAs (RFC 5280 §5.2.5). */
  readonly certifies: "UserCerts" | "CACerts";
  readonly certificate: Buffer;
  /** DER Name: the subject of the CA certificate, the issuer of its leaves. */
  readonly subject: Buffer;
  readonly subjectKeyIdentifier: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly key: IssuingKey;
  /** PEM of what follows the leaf in the default chain, without the root (RFC 8555 §7.4.2). */
  readonly chainPem: string;
  /** In how many lists its revoked certificates are told. */
  readonly crlShards: number;
  /** URL of the list of this number, from 0 to below `crlShards`. */
  readonly listUrl: (shard: number) => string;
  /** URL of the list that this serial number would stand in when it is revoked (RFC 5280 §4.2.1.13). */
  readonly crlUrl: (serialNumber: Buffer) => string;
  /** URL of the OCSP responder (RFC 5280 §4.2.2.1). */
  readonly ocspUrl: string;
}

/** Whoever tells in lists what it revoked: an issuing CA, or a root, whose key is here. */
export type ListIssuer = Pick<
  Issuer,
  "id" | "certifies" | "subject" | "subjectKeyIdentifier" | "notAfter" | "key" | "crlShards" | "listUrl"
>;

/** A root, or another CA's above ours. */
export interface TrustAnchor {
  readonly id: string;
  readonly state: IssuerState;
  readonly certificate: Buffer;
  readonly notAfter: Date;
}

/**
 * The issuers of this deployment as the database has them: every process reads them again each second, so that what one of them changed
 * counts in all of them two seconds later.
 */
export interface Issuers {
  /** What issues for this line now. @throws {KeyUnavailable} where there is none, its key is not here, or its certificate is not valid now */
  active(name: string): Issuer;
  /** One whose key is here and that is not retired: published, active or retiring. */
  byId(id: string): Issuer | undefined;
  /** All of these. */
  all(): readonly Issuer[];
  /** Everybody with lists of revoked certificates: all of these, and the roots that relying parties are to trust and whose key is here. */
  listIssuers(): readonly ListIssuer[];
  /** Roots that relying parties are to trust: published, active or retiring; the active one first. Never empty. */
  roots(): readonly TrustAnchor[];
  /** PEM of the roots that every parser reads: without those that have ML-DSA keys, unless there are no others. */
  rootPem(): string;
  /** PEM of all roots. */
  postQuantumRootPem(): string;
  /** Grows whenever the set of roots changes (SPIFFE Trust Domain and Bundle §4.1.1), and is the same in every process. */
  bundleSequence(): number;
  /** Issuing CAs, of now and of before, whose key has this identifier (RFC 5280 §4.2.1.1). */
  issuerIdsOf(keyIdentifier: Buffer): readonly string[];
  /**
   * What may follow a leaf of this issuing CA, of now or of before: the default chain first, without the root, then the alternate ones
   * that are valid at `now`. None where the issuer is not ours.
   */
  chainsOf(issuerId: string, now: Date): readonly Chain[];
  /** Every CA certificate that a chain leads over, by the path that it is published at. */
  published(): ReadonlyMap<string, PublishedCertificate>;
  /** Reads them from the database again. */
  reread(): Promise<void>;
}
