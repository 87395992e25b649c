/** COSE_Sign1 (RFC 9052 §4.2) with its payload inside, in strict CBOR. */
import { verify, type KeyObject } from "node:crypto";
import { isCborMap, type CborLimits, type CborMap, type CborValue } from "../encoding/cbor.ts";
import { decodeEvidenceCbor } from "./binaryEvidence.ts";
import { type EvidenceRefused, malformed } from "./evidence.ts";

/** A message that was taken apart; nothing of it is verified. Buffers are views of the input. */
export interface CoseSign1 {
  /** As it was signed: the CBOR of a map, or nothing. */
  readonly protectedHeader: Buffer;
  readonly unprotectedHeader: CborMap;
  readonly payload: Buffer;
  readonly signature: Buffer;
  /** What the signature is over: Sig_structure without external data (§4.4). */
  readonly signed: Buffer;
}

/** RFC 9052 §4.2. The tag may be there or not: it is signed by nobody and says what everybody knows. */
const coseSign1Tag = 18;

/**
 * Reads a COSE_Sign1, with its tag 18 or without.
 * @throws {EvidenceRefused} evidenceMalformed
 */
export function readCoseSign1(octets: Buffer, limits: CborLimits): CoseSign1 {
  const read = decodeEvidenceCbor(octets, { ...limits, tags: [coseSign1Tag] });
  const message = isTagged(read) ? read.value : read;
  if (!Array.isArray(message) || message.length !== 4) throw noCoseSign1();
  const [protectedHeader, unprotectedHeader, payload, signature] = message as readonly CborValue[];
  if (!Buffer.isBuffer(protectedHeader) || !Buffer.isBuffer(payload) || !Buffer.isBuffer(signature))
    throw noCoseSign1();
  if (!isCborMap(unprotectedHeader)) throw noCoseSign1();
  return { protectedHeader, unprotectedHeader, payload, signature, signed: sigStructure(protectedHeader, payload) };
}

/**
 * True when the message is signed by this key with ES384 (RFC 9053 §2.1): ECDSA with SHA-384 on P-384, r and s of 48 octets each.
 */
export function isSignedEs384({ signed, signature }: CoseSign1, key: KeyObject): boolean {
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "secp384r1") return false;
  return verify("sha384", signed, { key, dsaEncoding: "ieee-p1363" }, signature);
}

/** `["Signature1", protected, external_aad = h'', payload]` in deterministic CBOR. */
export function sigStructure(protectedHeader: Buffer, payload: Buffer): Buffer {
  return Buffer.concat([
    Buffer.of(0x84, 0x6a), // An array of four, and a text of ten octets.
    Buffer.from("Signature1", "latin1"),
    byteStringHead(protectedHeader.length),
    protectedHeader,
    Buffer.of(0x40),
    byteStringHead(payload.length),
    payload,
  ]);
}

/** Major type 2 with its length in the fewest octets (RFC 8949 §4.2.1). */
function byteStringHead(length: number): Buffer {
  if (length < 24) return Buffer.of(0x40 | length);
  if (length < 0x100) return Buffer.of(0x58, length);
  const head = Buffer.alloc(length < 0x10000 ? 3 : 5);
  head[0] = length < 0x10000 ? 0x59 : 0x5a;
  head.writeUIntBE(length, 1, head.length - 1);
  return head;
}

function isTagged(value: CborValue): value is Extract<CborValue, { readonly tag: number }> {
  return typeof value === "object" && value !== null && "tag" in value;
}

function noCoseSign1(): EvidenceRefused {
  return malformed("The evidence is not a COSE_Sign1 with its payload");
}
