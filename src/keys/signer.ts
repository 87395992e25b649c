/**
 * The Signer port: what the authority needs of a private key, wherever it lives. Knows no certificate.
 */
import type { KeyObject } from "node:crypto";

/**
 * Signature algorithms an issuing key may use; the names are ours, the X.509 AlgorithmIdentifier is made in `x509/`. `rsa-pss-sha256` is
 * RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 octets (RFC 8017 §8.1); ML-DSA is the pure one, without a context (FIPS 204 §5.2).
 */
export type SignatureAlgorithm =
  | "ecdsa-p256-sha256"
  | "ecdsa-p384-sha384"
  | "rsa-pkcs1-sha256"
  | "rsa-pss-sha256"
  | "ed25519"
  | "ml-dsa-44"
  | "ml-dsa-65"
  | "ml-dsa-87";

/** Key kinds that `KeyProvider.generate` can make: a key, and what it signs with. */
export type KeyKind =
  | "ec-p256"
  | "ec-p384"
  | "rsa-3072"
  | "rsa-4096"
  | "rsa-3072-pss"
  | "rsa-4096-pss"
  | "ed25519"
  | "ml-dsa-44"
  | "ml-dsa-65"
  | "ml-dsa-87";

/** What a key is found by. */
export interface WantedKey {
  readonly label?: string;
  /** DER SubjectPublicKeyInfo. */
  readonly spki?: Uint8Array;
  /**
   * What the key signs with. An RSA key does not tell whether its padding is PKCS #1 v1.5 or PSS, so whoever keeps an issuer keeps this
   * too; not given, it is the algorithm of `signatureAlgorithmOf`, PKCS #1 v1.5 for RSA.
   */
  readonly algorithm?: SignatureAlgorithm;
}

/** One private key that can sign. Safe for concurrent use: an implementation queues or pools as its token needs. */
export interface Signer {
  /** The key's label in its token, or its file name without the suffix. */
  readonly label: string;
  readonly algorithm: SignatureAlgorithm;
  /** DER SubjectPublicKeyInfo (RFC 5280 §4.1.2.7). */
  readonly spki: Buffer;
  readonly publicKey: KeyObject;
  /**
   * Signs `message` (hashing it as the algorithm says) and resolves to the signature as X.509 carries it:
   * DER `Ecdsa-Sig-Value` for ECDSA (RFC 3279 §2.2.3), the plain octets for all others.
   * @throws {KeyUnavailable} when the token is away, too slow or its queue is full; nothing was signed as far as we know.
   */
  sign(message: Uint8Array): Promise<Buffer>;
  /**
   * Returns where a signature can be had now, as far as is known without asking the token; not given, that is always.
   * @throws {KeyUnavailable} when the token is away, hangs, has too much waiting for it, or failed its last self-test
   */
  requireReady?(): void;
  /**
   * Signs something that nobody chose and verifies it, with every token that has the key; not given, see `selfTest.ts`. After one that
   * failed `requireReady` refuses, until one succeeds.
   * @throws {KeyUnavailable} · {Error} when the signature does not verify
   */
  selfTest?(): Promise<void>;
  /** What the token says of the private key's life; not given by key files. */
  readonly custody?: KeyCustody;
}

/** What a token says of a private key that cannot be taken out of it now; undefined where it does not say. For people: each module is its own witness. */
export interface KeyCustody {
  /** CKA_LOCAL: made inside. */
  readonly madeInside: boolean | undefined;
  /** CKA_ALWAYS_SENSITIVE: never readable in the clear. */
  readonly alwaysSensitive: boolean | undefined;
  /** CKA_NEVER_EXTRACTABLE: never could be wrapped out. */
  readonly neverExtractable: boolean | undefined;
  /** CKA_MODIFIABLE: whether attributes may still be changed. */
  readonly modifiable: boolean | undefined;
}

/** A place where keys live: a PKCS#11 token or the development key directory. */
export interface KeyProvider {
  /** For people: "PKCS#11 token mayfly (SoftHSM2)", "development key files in /…". Never holds a PIN. */
  readonly description: string;
  /** True when the keys are not protected by hardware; the server says so loudly. */
  readonly development: boolean;
  /** Which keys no hardware protects where it protects the others; the server says that loudly too. */
  readonly unprotected?: string;
  /**
   * Makes a key pair inside, not extractable where the provider has that notion.
   * @throws {KeyUnavailable} · {KeyKindUnsupported} · {Error} when `label` is taken
   */
  generate(label: string, kind: KeyKind): Promise<Signer>;
  /**
   * Finds a key by its public key (preferred: labels can be mixed up) or, where no `spki` is given, by label.
   * Resolves to undefined when there is none. Refuses a label that names more than one key, and a key that cannot sign with the wanted
   * algorithm.
   */
  find(wanted: WantedKey): Promise<Signer | undefined>;
  /** Each token and whether it can sign now, for metrics and people; not given by key files. */
  tokens?(): readonly TokenState[];
  /** Gives sessions and file handles back. Idempotent. */
  close(): Promise<void>;
}

/** One token, as the last operations found it. */
export interface TokenState {
  /** Label, and model where it has been open: never a PIN. */
  readonly token: string;
  readonly usable: boolean;
  /** Why it is not, for people. */
  readonly reason?: string;
}

/** The key cannot be used now; our own trouble, never the client's: 503 at the edge. */
export class KeyUnavailable extends Error {
  override readonly name = "KeyUnavailable";
}

/** The provider cannot make keys of this kind, nor use them: a token without the mechanism. */
export class KeyKindUnsupported extends Error {
  override readonly name = "KeyKindUnsupported";
}
