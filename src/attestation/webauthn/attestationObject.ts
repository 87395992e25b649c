/**
 * The attestation object of WebAuthn (Level 2 §6.5.4) as device-attest-01 has it: `fmt` and `attStmt` count, everything else (`authData`
 * among it, which says nothing in ACME) is passed over.
 */
import { isCborMap, type CborMap } from "../../encoding/cbor.ts";
import { decodeEvidenceCbor, evidenceOctets } from "../binaryEvidence.ts";
import { malformed } from "../evidence.ts";

export interface AttestationObject {
  /** WebAuthn's name of the statement's format. */
  readonly fmt: string;
  readonly statement: CborMap;
  /** The formats of our own that read such a statement; none for one that is not known. */
  readonly statementFormats: readonly string[];
}

/** Octets of the object. */
const objectBytesMax = 48 * 1024;

/**
 * Formats of evidence by WebAuthn's name. `step` is what the step client calls a packed statement by the certificate's own key; our own `tpm`
 * is another shape of evidence, for workloads.
 */
const formatsOf: ReadonlyMap<string, string> = new Map([
  ["apple", "apple"],
  ["android-key", "android-key"],
  ["packed", "packed"],
  ["step", "packed"],
  ["tpm", "tpm-device"],
]);

/**
 * Reads one, of base64url.
 * @throws {EvidenceRefused} evidenceMalformed
 */
export function readAttestationObject(value: string): AttestationObject {
  const octets = evidenceOctets({ value }, objectBytesMax);
  const object = decodeEvidenceCbor(octets, { bytesMax: objectBytesMax, itemsMax: 256, depthMax: 8 });
  if (!isCborMap(object)) throw malformed("The attestation object is not a map");
  const fmt = object.get("fmt");
  if (typeof fmt !== "string") throw malformed("The attestation object has no fmt that is a text");
  const statement = object.get("attStmt");
  if (!isCborMap(statement)) throw malformed("The attestation object has no attStmt that is a map");
  const format = formatsOf.get(fmt);
  return { fmt, statement, statementFormats: format === undefined ? [] : [format] };
}

/** A byte string of the statement. @throws {EvidenceRefused} evidenceMalformed */
export function octetsIn(statement: CborMap, name: string): Buffer {
  const value = statement.get(name);
  if (Buffer.isBuffer(value)) return value;
  throw malformed(`The attestation statement has no ${name} that is a byte string`);
}

/** Certificates in a statement: the leaf, its issuers, and the root. */
const certificatesMax = 6;

/** `x5c` of the statement, the leaf first. @throws {EvidenceRefused} evidenceMalformed, also where there is none */
export function certificatesIn(statement: CborMap): readonly [Buffer, ...Buffer[]] {
  const value = statement.get("x5c");
  if (!Array.isArray(value) || value.length > certificatesMax || !value.every((one) => Buffer.isBuffer(one)))
    throw malformed(`The attestation statement has no x5c of one to ${certificatesMax} certificates`);
  const [leaf, ...others] = value;
  if (leaf === undefined)
    throw malformed(`The attestation statement has no x5c of one to ${certificatesMax} certificates`);
  return [leaf, ...others];
}
