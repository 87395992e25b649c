/** Signatures of attestation statements, by the COSE algorithm that the statement names (RFC 9053 §2, RFC 8812 §2). */
import { verify, type KeyObject } from "node:crypto";
import type { CborMap } from "../../encoding/cbor.ts";
import { EvidenceRefused } from "../evidence.ts";
import { octetsIn } from "./attestationObject.ts";

interface CoseAlgorithm {
  readonly keyType: "ec" | "rsa" | "ed25519";
  readonly curve?: string;
  /** Null where the algorithm hashes by itself. */
  readonly hash: "sha256" | "sha384" | null;
}

const algorithms: ReadonlyMap<number, CoseAlgorithm> = new Map<number, CoseAlgorithm>([
  [-7, { keyType: "ec", curve: "prime256v1", hash: "sha256" }],
  [-35, { keyType: "ec", curve: "secp384r1", hash: "sha384" }],
  [-257, { keyType: "rsa", hash: "sha256" }],
  [-8, { keyType: "ed25519", hash: null }],
]);

/**
 * Makes sure that `sig` of the statement is the key's over `message`, by its `alg`.
 * @throws {EvidenceRefused} evidenceMalformed, evidenceInvalid
 */
export function requireSignature(statement: CborMap, publicKey: KeyObject, message: Buffer): void {
  const algorithm = algorithms.get(Number(statement.get("alg")));
  const signature = octetsIn(statement, "sig");
  if (algorithm === undefined || typeof statement.get("alg") !== "number")
    throw new EvidenceRefused("evidenceInvalid", "The statement's alg is not ES256, ES384, RS256 or EdDSA");
  const { keyType, curve, hash } = algorithm;
  const fits =
    publicKey.asymmetricKeyType === keyType &&
    (curve === undefined || publicKey.asymmetricKeyDetails?.namedCurve === curve);
  if (!fits || !verify(hash, message, publicKey, signature))
    throw new EvidenceRefused("evidenceInvalid", "The attested key has not signed this challenge and account");
}
