/**
 * The attestation document of an AWS Nitro enclave: the payload of its COSE_Sign1. Members and limits are those that AWS publishes for
 * verifiers; an optional member that is null is absent, as real documents have it.
 */
import { type CborMap, type CborValue, isCborMap } from "../../encoding/cbor.ts";
import { decodeEvidenceCbor } from "../binaryEvidence.ts";
import { EvidenceRefused } from "../evidence.ts";

/** Largest document, with its signature. */
export const documentBytesMax = 16_384;
const certificateBytesMax = 1024;
const publicKeyBytesMax = 1024;
const dataBytesMax = 512;
/** The number of PCRs that a document may have, and one more than the highest index. */
const pcrsMax = 32;
const pcrLengths: readonly number[] = [32, 48, 64];
const moduleIdForm = /^[A-Za-z0-9._-]{1,256}$/;

/** What a document says; only its form was checked. Byte strings are views of the input. */
export interface NitroDocument {
  /** Of one enclave, from its start to its end: `i-…-enc…`. */
  readonly moduleId: string;
  /** When the hypervisor signed it. */
  readonly timestamp: Date;
  /** By index; 32, 48 or 64 octets each. */
  readonly pcrs: ReadonlyMap<number, Buffer>;
  /** DER, of the key that signed the document. */
  readonly certificate: Buffer;
  /** DER, from the root to the issuer of `certificate`. */
  readonly cabundle: readonly Buffer[];
  readonly publicKey: Buffer | undefined;
  readonly userData: Buffer | undefined;
  readonly nonce: Buffer | undefined;
}

/**
 * Reads the payload.
 * @throws {EvidenceRefused} evidenceMalformed
 */
export function readNitroDocument(payload: Buffer): NitroDocument {
  const document = decodeEvidenceCbor(payload, { bytesMax: documentBytesMax, itemsMax: 256, depthMax: 3 });
  if (!isCborMap(document)) throw malformed("is no map");
  const moduleId = document.get("module_id");
  if (typeof moduleId !== "string" || !moduleIdForm.test(moduleId)) throw malformed("has no module_id");
  if (document.get("digest") !== "SHA384") throw malformed("is not of the digest SHA384");
  const timestamp = document.get("timestamp");
  // Beyond that there is no Date.
  if (typeof timestamp !== "number" || timestamp <= 0 || timestamp > 8.64e15) throw malformed("has no timestamp");
  return {
    moduleId,
    timestamp: new Date(timestamp),
    pcrs: pcrsOf(document.get("pcrs")),
    certificate: certificateOf(document.get("certificate")),
    cabundle: bundleOf(document.get("cabundle")),
    publicKey: optionalBytes(document, "public_key", 1, publicKeyBytesMax),
    userData: optionalBytes(document, "user_data", 0, dataBytesMax),
    nonce: optionalBytes(document, "nonce", 0, dataBytesMax),
  };
}

function pcrsOf(value: CborValue | undefined): ReadonlyMap<number, Buffer> {
  if (!isCborMap(value) || value.size === 0 || value.size > pcrsMax) throw malformed(`has not 1 to ${pcrsMax} PCRs`);
  const pcrs = new Map<number, Buffer>();
  for (const [index, digest] of value) {
    if (typeof index !== "number" || index < 0 || index >= pcrsMax) throw malformed("has a PCR of no such index");
    if (!Buffer.isBuffer(digest) || !pcrLengths.includes(digest.length)) throw malformed("has a PCR of another length");
    pcrs.set(index, digest);
  }
  return pcrs;
}

function certificateOf(value: CborValue | undefined): Buffer {
  if (!Buffer.isBuffer(value) || value.length === 0 || value.length > certificateBytesMax) {
    throw malformed(`has no certificate of 1 to ${certificateBytesMax} bytes`);
  }
  return value;
}

/** How long the chain may be is `verifyChain`'s rule. */
function bundleOf(value: CborValue | undefined): Buffer[] {
  if (!Array.isArray(value) || value.length === 0) throw malformed("has no cabundle");
  return (value as readonly CborValue[]).map(certificateOf);
}

function optionalBytes(document: CborMap, name: string, least: number, most: number): Buffer | undefined {
  const value = document.get(name) ?? undefined;
  if (value === undefined) return undefined;
  if (!Buffer.isBuffer(value) || value.length < least || value.length > most) {
    throw malformed(`has a ${name} that is not ${least} to ${most} bytes`);
  }
  return value;
}

function malformed(what: string): EvidenceRefused {
  return new EvidenceRefused("evidenceMalformed", `The attestation document ${what}`);
}
