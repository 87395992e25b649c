/**
 * Which signature algorithm a key signs with. One key, one algorithm: an issuing key never offers a choice.
 */
import type { KeyObject } from "node:crypto";
import type { KeyKind, SignatureAlgorithm } from "./signer.ts";

/** The algorithm of each kind of key that can be generated. */
export const algorithmOfKind = {
  "ec-p256": "ecdsa-p256-sha256",
  "ec-p384": "ecdsa-p384-sha384",
  "rsa-3072": "rsa-pkcs1-sha256",
  ed25519: "ed25519",
} as const satisfies Record<KeyKind, SignatureAlgorithm>;

/** The digest as `node:crypto` names it; null for Ed25519, which hashes by itself (RFC 8032 §5.1.6). */
export const digestOfAlgorithm = {
  "ecdsa-p256-sha256": "sha256",
  "ecdsa-p384-sha384": "sha384",
  "rsa-pkcs1-sha256": "sha256",
  ed25519: null,
} as const satisfies Record<SignatureAlgorithm, string | null>;

/** RSA moduli that may issue, in bits. Below is weak, above is slow for every relying party. */
const rsaModulusBits = { least: 2048, most: 8192 };

/** The algorithm a key signs with, or undefined for a key that may not issue (other curves, other kinds, RSA out of bounds). */
export function signatureAlgorithmOf(key: KeyObject): SignatureAlgorithm | undefined {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "ed25519") return "ed25519";
  if (key.asymmetricKeyType === "ec" && namedCurve === "prime256v1") return "ecdsa-p256-sha256";
  if (key.asymmetricKeyType === "ec" && namedCurve === "secp384r1") return "ecdsa-p384-sha384";
  if (key.asymmetricKeyType !== "rsa") return undefined;
  if (modulusLength < rsaModulusBits.least || modulusLength > rsaModulusBits.most) return undefined;
  return "rsa-pkcs1-sha256";
}
