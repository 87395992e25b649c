/**
 * Signature algorithms: their AlgorithmIdentifier (RFC 5280 §4.1.1.2) and their verification.
 */
import { type KeyObject, verify } from "node:crypto";
import type { SignatureAlgorithm } from "../keys/signer.ts";
import { tags } from "./der.ts";
import { der, encodeDer, objectIdentifier, sequence } from "./derWriter.ts";
import { oids } from "./oid.ts";

const nullParameters = der(tags.null);
const identifiers = {
  ecdsaSha256: encodeDer(sequence(objectIdentifier(oids.ecdsaWithSHA256))),
  ecdsaSha384: encodeDer(sequence(objectIdentifier(oids.ecdsaWithSHA384))),
  rsaSha256: encodeDer(sequence(objectIdentifier(oids.sha256WithRSAEncryption), nullParameters)),
  rsaSha384: encodeDer(sequence(objectIdentifier(oids.sha384WithRSAEncryption), nullParameters)),
  rsaSha512: encodeDer(sequence(objectIdentifier(oids.sha512WithRSAEncryption), nullParameters)),
  ed25519: encodeDer(sequence(objectIdentifier(oids.ed25519))),
};

/** How to verify; `curve` only where our own algorithm fixes it. */
interface Scheme {
  readonly identifier: Buffer;
  readonly keyType: "ec" | "rsa" | "ed25519";
  /** Null where the algorithm hashes by itself. */
  readonly hash: "sha256" | "sha384" | "sha512" | null;
  readonly curve?: "prime256v1" | "secp384r1";
}

const ownSchemes: Record<SignatureAlgorithm, Scheme> = {
  "ecdsa-p256-sha256": {
    identifier: identifiers.ecdsaSha256,
    keyType: "ec",
    hash: "sha256",
    curve: "prime256v1",
  },
  "ecdsa-p384-sha384": { identifier: identifiers.ecdsaSha384, keyType: "ec", hash: "sha384", curve: "secp384r1" },
  "rsa-pkcs1-sha256": { identifier: identifiers.rsaSha256, keyType: "rsa", hash: "sha256" },
  ed25519: { identifier: identifiers.ed25519, keyType: "ed25519", hash: null },
};

const ownAlgorithms = [
  "ecdsa-p256-sha256",
  "ecdsa-p384-sha384",
  "rsa-pkcs1-sha256",
  "ed25519",
] as const satisfies readonly SignatureAlgorithm[];

/** What certification requests may be signed with: any of the hashes with any key of the type. */
const requestSchemes: readonly Scheme[] = [
  { identifier: identifiers.ecdsaSha256, keyType: "ec", hash: "sha256" },
  { identifier: identifiers.ecdsaSha384, keyType: "ec", hash: "sha384" },
  { identifier: identifiers.rsaSha256, keyType: "rsa", hash: "sha256" },
  { identifier: identifiers.rsaSha384, keyType: "rsa", hash: "sha384" },
  { identifier: identifiers.rsaSha512, keyType: "rsa", hash: "sha512" },
  { identifier: identifiers.ed25519, keyType: "ed25519", hash: null },
];

/** DER AlgorithmIdentifier; the caller must not write into it. */
export function algorithmIdentifier(algorithm: SignatureAlgorithm): Buffer {
  return ownSchemes[algorithm].identifier;
}

/**
 * The algorithm of ours that a DER AlgorithmIdentifier names, if any. Those of ECDSA do not name the curve: it is the one that our
 * algorithm pairs with the hash, and `verifySignature` compares it with the key.
 */
export function signatureAlgorithmOf(identifier: Uint8Array): SignatureAlgorithm | undefined {
  return ownAlgorithms.find((algorithm) => ownSchemes[algorithm].identifier.equals(identifier));
}

/**
 * True when `signature`, in the form that X.509 carries (see `Signer.sign`), is `publicKey`'s over `message`.
 * False too when the key is not of the algorithm's type and curve.
 */
export function verifySignature(
  algorithm: SignatureAlgorithm,
  publicKey: KeyObject,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  return verifyScheme(ownSchemes[algorithm], publicKey, message, signature);
}

/** True when `identifier` names an algorithm that certification requests may be signed with. */
export function isRequestAlgorithm(identifier: Uint8Array): boolean {
  return requestSchemes.some((scheme) => scheme.identifier.equals(identifier));
}

/** Verifies a certification request's signature by its AlgorithmIdentifier; false for one that `isRequestAlgorithm` refuses. */
export function verifyRequestSignature(
  identifier: Uint8Array,
  publicKey: KeyObject,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const scheme = requestSchemes.find((candidate) => candidate.identifier.equals(identifier));
  return scheme !== undefined && verifyScheme(scheme, publicKey, message, signature);
}

function verifyScheme(scheme: Scheme, publicKey: KeyObject, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.asymmetricKeyType !== scheme.keyType) return false;
  if (scheme.curve !== undefined && publicKey.asymmetricKeyDetails?.namedCurve !== scheme.curve) return false;
  return verify(scheme.hash, message, publicKey, signature);
}
