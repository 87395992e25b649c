/** The attestation statement of a TPM (WebAuthn Level 2 §8.3): `{"ver", "alg", "x5c", "sig", "certInfo", "pubArea"}`. */
import { verify, type KeyObject } from "node:crypto";
import type { CborMap } from "../../encoding/cbor.ts";
import { invalid, malformed } from "../evidence.ts";
import type { TpmHash } from "../tpm/algorithms.ts";
import { readAttest, type Certify } from "../tpm/attest.ts";
import { readPublicArea, type PublicArea } from "../tpm/publicArea.ts";
import { TpmStructureError } from "../tpm/reader.ts";
import { readTpmSignature, verifyTpmSignature, type TpmSignature } from "../tpm/signature.ts";
import { certificatesIn, octetsIn } from "./attestationObject.ts";

/** A statement, read and not verified. */
export interface TpmStatement {
  readonly algorithm: TpmAlgorithm;
  /** The chain of the attestation key's certificate, DER, the leaf first. */
  readonly x5c: readonly [Buffer, ...Buffer[]];
  readonly signature: Buffer;
  /** TPMS_ATTEST, the signed octets. */
  readonly bytes: Buffer;
  readonly attest: Certify;
  /** The certified key. */
  readonly object: PublicArea;
}

/** `hash` is that of the signature and of what stands in extraData. */
interface TpmAlgorithm {
  readonly scheme: TpmSignature["scheme"];
  readonly hash: TpmHash;
  /** As node:crypto calls it. */
  readonly curve?: string;
}

/** By COSE's identifier (RFC 9053 §2.1, RFC 8812 §2, RFC 8230 §2). */
const coseAlgorithms: ReadonlyMap<unknown, TpmAlgorithm> = new Map<number, TpmAlgorithm>([
  [-7, { scheme: "ecdsa", hash: "sha256", curve: "prime256v1" }],
  [-35, { scheme: "ecdsa", hash: "sha384", curve: "secp384r1" }],
  [-37, { scheme: "rsapss", hash: "sha256" }],
  [-38, { scheme: "rsapss", hash: "sha384" }],
  [-39, { scheme: "rsapss", hash: "sha512" }],
  [-257, { scheme: "rsassa", hash: "sha256" }],
  [-258, { scheme: "rsassa", hash: "sha384" }],
  [-259, { scheme: "rsassa", hash: "sha512" }],
  [-65_535, { scheme: "rsassa", hash: "sha1" }],
]);

/**
 * Reads a statement.
 * @throws {EvidenceRefused} evidenceMalformed · evidenceInvalid for an algorithm that is not taken
 */
export function readTpmStatement(statement: CborMap): TpmStatement {
  if (statement.get("ver") !== "2.0") throw malformed("The attestation statement is not of version 2.0 of the TPM");
  const algorithm = coseAlgorithms.get(statement.get("alg"));
  if (algorithm === undefined) throw invalid("The statement's alg is not one of ECDSA, RSASSA or RSAPSS that is taken");
  const [signature, bytes] = [octetsIn(statement, "sig"), octetsIn(statement, "certInfo")];
  const { attest, object } = structuresOf(() => ({
    attest: readAttest(bytes),
    object: readPublicArea(octetsIn(statement, "pubArea")),
  }));
  if (attest.type !== "certify") throw malformed("certInfo is not a certify");
  return { algorithm, x5c: certificatesIn(statement), signature, bytes, attest, object };
}

/**
 * Makes sure that `sig` is the attestation key's over `certInfo`, by `alg`. It is a TPMT_SIGNATURE, as WebAuthn has it, or the bare signature,
 * as Windows sends it.
 * @throws {EvidenceRefused} evidenceMalformed · evidenceInvalid
 */
export function requireTpmStatementSignature({ algorithm, signature, bytes }: TpmStatement, key: KeyObject): void {
  if (!verifies(algorithm, signature, bytes, key)) throw invalid("The attestation key has not signed the statement");
}

function verifies({ scheme, hash, curve }: TpmAlgorithm, sig: Buffer, message: Buffer, key: KeyObject): boolean {
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (scheme === "ecdsa") {
    if (key.asymmetricKeyType !== "ec" || namedCurve !== curve) return false;
    // A DER SEQUENCE; a TPMT_SIGNATURE begins with TPM_ALG_ECDSA, 0x0018.
    if (sig[0] === 0x30) return verify(hash, message, key, sig);
  } else if (key.asymmetricKeyType === "rsa" && sig.length * 8 === modulusLength) {
    return verifyTpmSignature({ scheme, hash, signature: sig }, key, message);
  }
  const structure = structuresOf(() => readTpmSignature(sig));
  return structure.scheme === scheme && structure.hash === hash && verifyTpmSignature(structure, key, message);
}

function structuresOf<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TpmStructureError) throw malformed(error.message);
    throw error;
  }
}
