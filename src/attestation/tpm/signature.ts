/**
 * TPMT_SIGNATURE (TPM 2.0 Library Part 2 §11.3.4) and its verification: RSASSA, RSAPSS and ECDSA. Pure.
 */
import { constants, verify, type KeyObject } from "node:crypto";
import { ecdsaSigValue } from "../../x509/ecdsaSigValue.ts";
import { algorithms, hashOf, type TpmHash } from "./algorithms.ts";
import { TpmReader, TpmStructureError } from "./reader.ts";

/** A signature by a TPM. */
export type TpmSignature = { readonly hash: TpmHash } & (
  | { readonly scheme: "rsassa" | "rsapss"; readonly signature: Buffer }
  | { readonly scheme: "ecdsa"; readonly r: Buffer; readonly s: Buffer }
);

const rsaSignatureBytesMax = 512;
const coordinateBytesMax = 48;

/**
 * Reads exactly one TPMT_SIGNATURE.
 * @throws {TpmStructureError}
 */
export function readTpmSignature(bytes: Uint8Array): TpmSignature {
  const reader = new TpmReader(bytes, "The signature");
  const scheme = schemeOf(reader.u16());
  const hash = hashOf(reader.u16(), "The hash of the signature");
  const signature: TpmSignature =
    scheme === "ecdsa"
      ? {
          scheme,
          hash,
          r: reader.sized(coordinateBytesMax, "The signature's r"),
          s: reader.sized(coordinateBytesMax, "The signature's s"),
        }
      : { scheme, hash, signature: reader.sized(rsaSignatureBytesMax, "The signature") };
  reader.end();
  return signature;
}

function schemeOf(algorithm: number): TpmSignature["scheme"] {
  switch (algorithm) {
    case algorithms.rsassa:
      return "rsassa";
    case algorithms.rsapss:
      return "rsapss";
    case algorithms.ecdsa:
      return "ecdsa";
    default:
      throw new TpmStructureError("The signature is not RSASSA, RSAPSS or ECDSA");
  }
}

/** Bytes of a coordinate, by the name that node:crypto has for the curve. */
const coordinateBytes: Readonly<Record<string, number>> = { prime256v1: 32, secp384r1: 48 };

/** True when the signature is the key's over these bytes; false too when it is of another kind than the key. */
export function verifyTpmSignature(signature: TpmSignature, key: KeyObject, message: Uint8Array): boolean {
  if (signature.scheme === "ecdsa") {
    const bytes = coordinateBytes[key.asymmetricKeyDetails?.namedCurve ?? ""];
    if (key.asymmetricKeyType !== "ec" || bytes === undefined) return false;
    const { r, s } = signature;
    if (r.length > bytes || s.length > bytes) return false;
    const raw = Buffer.alloc(2 * bytes);
    r.copy(raw, bytes - r.length);
    s.copy(raw, 2 * bytes - s.length);
    return verify(signature.hash, message, key, ecdsaSigValue(raw));
  }
  if (key.asymmetricKeyType !== "rsa") return false;
  // A TPM salts with as much as fits or with as much as the hash has, by its age (Part 1 §B.7).
  const padding =
    signature.scheme === "rsassa"
      ? { padding: constants.RSA_PKCS1_PADDING }
      : { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO };
  return verify(signature.hash, message, { key, ...padding }, signature.signature);
}
