/**
 * Signature algorithms: their AlgorithmIdentifier (RFC 5280 §4.1.1.2) and their verification.
 */
import { constants, type KeyObject, verify } from "node:crypto";
import type { SignatureAlgorithm } from "../keys/signer.ts";
import { tags } from "./der.ts";
import { constructed, der, type DerValue, encodeDer, objectIdentifier, sequence, smallInteger } from "./derWriter.ts";
import { oids } from "./oid.ts";

const nullParameters = der(tags.null);

/**
 * RSASSA-PSS with SHA-256, MGF1 with SHA-256, a salt of 32 octets and the default trailer, which DER leaves out (RFC 4055 §3.1).
 * @param parameters of SHA-256 in both places: NULL is written, and both NULL and none are read (RFC 4055 §2.1)
 */
function pssSha256(ofHash: readonly DerValue[], ofMask: readonly DerValue[]): Buffer {
  const sha256 = (parameters: readonly DerValue[]): DerValue => sequence(objectIdentifier(oids.sha256), ...parameters);
  return encodeDer(
    sequence(
      objectIdentifier(oids.rsassaPss),
      sequence(
        constructed(0, sha256(ofHash)),
        constructed(1, sequence(objectIdentifier(oids.mgf1), sha256(ofMask))),
        constructed(2, smallInteger(32)),
      ),
    ),
  );
}

const identifiers = {
  ecdsaSha256: encodeDer(sequence(objectIdentifier(oids.ecdsaWithSHA256))),
  ecdsaSha384: encodeDer(sequence(objectIdentifier(oids.ecdsaWithSHA384))),
  rsaSha256: encodeDer(sequence(objectIdentifier(oids.sha256WithRSAEncryption), nullParameters)),
  rsaSha384: encodeDer(sequence(objectIdentifier(oids.sha384WithRSAEncryption), nullParameters)),
  rsaSha512: encodeDer(sequence(objectIdentifier(oids.sha512WithRSAEncryption), nullParameters)),
  rsaPssSha256: pssSha256([nullParameters], [nullParameters]),
  ed25519: encodeDer(sequence(objectIdentifier(oids.ed25519))),
  mlDsa44: encodeDer(sequence(objectIdentifier(oids.mlDsa44))),
  mlDsa65: encodeDer(sequence(objectIdentifier(oids.mlDsa65))),
  mlDsa87: encodeDer(sequence(objectIdentifier(oids.mlDsa87))),
};

/** Other encodings that mean the same. */
const rsaPssSha256Variants = [pssSha256([], []), pssSha256([nullParameters], []), pssSha256([], [nullParameters])];

/** How to verify; `curve` only where our own algorithm fixes it. */
interface Scheme {
  readonly identifier: Buffer;
  readonly variants?: readonly Buffer[];
  readonly keyType: "ec" | "rsa" | "ed25519" | "ml-dsa-44" | "ml-dsa-65" | "ml-dsa-87";
  /** Null where the algorithm hashes by itself. */
  readonly hash: "sha256" | "sha384" | "sha512" | null;
  readonly curve?: "prime256v1" | "secp384r1";
  /** RSASSA-PSS with a salt of exactly so many octets, and `hash` for MGF1 too; PKCS #1 v1.5 where it is not given. */
  readonly saltLength?: number;
}

const rsaPssSha256: Scheme = {
  identifier: identifiers.rsaPssSha256,
  variants: rsaPssSha256Variants,
  keyType: "rsa",
  hash: "sha256",
  saltLength: 32,
};

const ownSchemes: Record<SignatureAlgorithm, Scheme> = {
  "ecdsa-p256-sha256": {
    identifier: identifiers.ecdsaSha256,
    keyType: "ec",
    hash: "sha256",
    curve: "prime256v1",
  },
  "ecdsa-p384-sha384": { identifier: identifiers.ecdsaSha384, keyType: "ec", hash: "sha384", curve: "secp384r1" },
  "rsa-pkcs1-sha256": { identifier: identifiers.rsaSha256, keyType: "rsa", hash: "sha256" },
  "rsa-pss-sha256": rsaPssSha256,
  ed25519: { identifier: identifiers.ed25519, keyType: "ed25519", hash: null },
  // RFC 9881 §2: no parameters; §3: pure ML-DSA with an empty context, which is what `verify` takes for granted.
  "ml-dsa-44": { identifier: identifiers.mlDsa44, keyType: "ml-dsa-44", hash: null },
  "ml-dsa-65": { identifier: identifiers.mlDsa65, keyType: "ml-dsa-65", hash: null },
  "ml-dsa-87": { identifier: identifiers.mlDsa87, keyType: "ml-dsa-87", hash: null },
};

const ownAlgorithms = [
  "ecdsa-p256-sha256",
  "ecdsa-p384-sha384",
  "rsa-pkcs1-sha256",
  "rsa-pss-sha256",
  "ed25519",
  "ml-dsa-44",
  "ml-dsa-65",
  "ml-dsa-87",
] as const satisfies readonly SignatureAlgorithm[];

/** What certification requests may be signed with: any of the hashes with any key of the type. */
const requestSchemes: readonly Scheme[] = [
  { identifier: identifiers.ecdsaSha256, keyType: "ec", hash: "sha256" },
  { identifier: identifiers.ecdsaSha384, keyType: "ec", hash: "sha384" },
  { identifier: identifiers.rsaSha256, keyType: "rsa", hash: "sha256" },
  { identifier: identifiers.rsaSha384, keyType: "rsa", hash: "sha384" },
  { identifier: identifiers.rsaSha512, keyType: "rsa", hash: "sha512" },
  rsaPssSha256,
  { identifier: identifiers.ed25519, keyType: "ed25519", hash: null },
];

const names = ({ identifier, variants = [] }: Scheme, other: Uint8Array): boolean =>
  [identifier, ...variants].some((one) => one.equals(other));

/** DER AlgorithmIdentifier; the caller must not write into it. */
export function algorithmIdentifier(algorithm: SignatureAlgorithm): Buffer {
  return ownSchemes[algorithm].identifier;
}

/**
 * The algorithm of ours that a DER AlgorithmIdentifier names, if any. Those of ECDSA do not name the curve: it is the one that our
 * algorithm pairs with the hash, and `verifySignature` compares it with the key.
 */
export function signatureAlgorithmOf(identifier: Uint8Array): SignatureAlgorithm | undefined {
  return ownAlgorithms.find((algorithm) => names(ownSchemes[algorithm], identifier));
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
  return requestSchemes.some((scheme) => names(scheme, identifier));
}

/** Verifies a certification request's signature by its AlgorithmIdentifier; false for one that `isRequestAlgorithm` refuses. */
export function verifyRequestSignature(
  identifier: Uint8Array,
  publicKey: KeyObject,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const scheme = requestSchemes.find((candidate) => names(candidate, identifier));
  return scheme !== undefined && verifyScheme(scheme, publicKey, message, signature);
}

function verifyScheme(scheme: Scheme, publicKey: KeyObject, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.asymmetricKeyType !== scheme.keyType) return false;
  if (scheme.curve !== undefined && publicKey.asymmetricKeyDetails?.namedCurve !== scheme.curve) return false;
  if (scheme.saltLength === undefined) return verify(scheme.hash, message, publicKey, signature);
  const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: scheme.saltLength };
  return verify(scheme.hash, message, { key: publicKey, ...padding }, signature);
}
