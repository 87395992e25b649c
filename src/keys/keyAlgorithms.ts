/**
 * Which signature algorithm a key signs with. One key, one algorithm: an issuing key never offers a choice.
 */
import { constants, type KeyObject, sign } from "node:crypto";
import type { KeyKind, SignatureAlgorithm } from "./signer.ts";

/** The algorithm of each kind of key that can be generated. */
export const algorithmOfKind = {
  "ec-p256": "ecdsa-p256-sha256",
  "ec-p384": "ecdsa-p384-sha384",
  "rsa-3072": "rsa-pkcs1-sha256",
  "rsa-4096": "rsa-pkcs1-sha256",
  "rsa-3072-pss": "rsa-pss-sha256",
  "rsa-4096-pss": "rsa-pss-sha256",
  ed25519: "ed25519",
  "ml-dsa-44": "ml-dsa-44",
  "ml-dsa-65": "ml-dsa-65",
  "ml-dsa-87": "ml-dsa-87",
} as const satisfies Record<KeyKind, SignatureAlgorithm>;

/** Every kind of key, as configuration names them; the first is what is made where nothing is said. */
export const keyKinds = [
  "ec-p256",
  "ec-p384",
  "rsa-3072",
  "rsa-4096",
  "rsa-3072-pss",
  "rsa-4096-pss",
  "ed25519",
  "ml-dsa-44",
  "ml-dsa-65",
  "ml-dsa-87",
] as const satisfies readonly KeyKind[];

/** The digest as `node:crypto` names it; null for algorithms that hash by themselves (RFC 8032 §5.1.6, FIPS 204 §6.2). */
const digestOfAlgorithm = {
  "ecdsa-p256-sha256": "sha256",
  "ecdsa-p384-sha384": "sha384",
  "rsa-pkcs1-sha256": "sha256",
  "rsa-pss-sha256": "sha256",
  ed25519: null,
  "ml-dsa-44": null,
  "ml-dsa-65": null,
  "ml-dsa-87": null,
} as const satisfies Record<SignatureAlgorithm, string | null>;

const pssPadding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };

/** RSA moduli that may issue, in bits. Below is weak, above is slow for every relying party. */
const rsaModulusBits = { least: 2048, most: 8192 };

/** Whether this text, from the database for example, names an algorithm of ours. */
export function isSignatureAlgorithm(text: string): text is SignatureAlgorithm {
  return Object.hasOwn(digestOfAlgorithm, text);
}

/** Whether keys of this kind, or of this algorithm, are ML-DSA's (FIPS 204): what parsers of before 2026 do not know. */
export function isPostQuantum(kindOrAlgorithm: KeyKind | SignatureAlgorithm): boolean {
  return kindOrAlgorithm.startsWith("ml-dsa-");
}

/**
 * The algorithm a key signs with, PKCS #1 v1.5 for RSA, or undefined for a key that may not issue (other curves, other kinds, RSA out of
 * bounds).
 */
export function signatureAlgorithmOf(key: KeyObject): SignatureAlgorithm | undefined {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const type = key.asymmetricKeyType;
  if (type === "ed25519" || type === "ml-dsa-44" || type === "ml-dsa-65" || type === "ml-dsa-87") return type;
  if (type === "ec" && namedCurve === "prime256v1") return "ecdsa-p256-sha256";
  if (type === "ec" && namedCurve === "secp384r1") return "ecdsa-p384-sha384";
  if (type !== "rsa") return undefined;
  if (modulusLength < rsaModulusBits.least || modulusLength > rsaModulusBits.most) return undefined;
  return "rsa-pkcs1-sha256";
}

/**
 * The algorithm that a key is to sign with: the wanted one where the key can, its only one where none is wanted.
 * @param what - names the key in messages
 * @throws {Error} for a key that may not issue, or not with the wanted algorithm
 */
export function chosenAlgorithm(
  key: KeyObject,
  wanted: SignatureAlgorithm | undefined,
  what: string,
): SignatureAlgorithm {
  const own = signatureAlgorithmOf(key);
  if (own === undefined) throw new Error(`${what} is of a kind or size that may not issue: ${key.asymmetricKeyType}`);
  if (wanted === undefined || wanted === own) return own;
  if (wanted === "rsa-pss-sha256" && own === "rsa-pkcs1-sha256") return wanted;
  throw new Error(`${what} signs with ${own}, and not with ${wanted} as it should`);
}

/** Signs with a key in this process; the form is that of `Signer.sign`. The empty context of ML-DSA is OpenSSL's own default. */
export function signWith(algorithm: SignatureAlgorithm, privateKey: KeyObject, message: Uint8Array): Buffer {
  const padded = algorithm === "rsa-pss-sha256" ? { key: privateKey, ...pssPadding } : privateKey;
  return sign(digestOfAlgorithm[algorithm], message, padded);
}
