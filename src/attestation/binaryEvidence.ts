/**
 * What formats of binary evidence have in common: how octets, JSON and CBOR are read, and the binding value; what is kept of evidence, and
 * for how long.
 */
import { createHash } from "node:crypto";
import { decodeBase64url, decodeBase64urlUpTo } from "../encoding/base64url.ts";
import { CborError, type CborLimits, type CborValue, decodeCbor } from "../encoding/cbor.ts";
import { type JsonObject, JsonRefused, parseJsonObject } from "../encoding/json.ts";
import { type EvidenceItem, EvidenceRefused, malformed, type VerificationContext } from "./evidence.ts";

/**
 * The octets of the evidence, sent as base64url.
 * @param bytesMax most octets; nothing longer is decoded
 * @throws {EvidenceRefused} evidenceMalformed
 */
export function evidenceOctets({ value }: Pick<EvidenceItem, "value">, bytesMax: number): Buffer {
  if (value.length > Math.ceil((bytesMax * 4) / 3)) {
    throw malformed(`The evidence has more than ${bytesMax} bytes`);
  }
  const octets = decodeBase64url(value);
  if (octets === undefined || octets.length === 0) {
    throw malformed("The evidence is not base64url");
  }
  return octets;
}

/**
 * `parseJsonObject` for evidence.
 * @throws {EvidenceRefused} evidenceMalformed
 */
export function parseEvidenceJson(octets: Uint8Array, what: string): JsonObject {
  try {
    return parseJsonObject(octets, what);
  } catch (error) {
    if (error instanceof JsonRefused) throw malformed(error.message);
    throw error;
  }
}

/**
 * `decodeCbor` for evidence.
 * @throws {EvidenceRefused} evidenceMalformed
 */
export function decodeEvidenceCbor(octets: Uint8Array, limits: CborLimits = {}): CborValue {
  try {
    return decodeCbor(octets, limits);
  } catch (error) {
    if (error instanceof CborError) throw malformed(error.message);
    throw error;
  }
}

/** SHA-256 of the evidence as it was sent: what the inventory keeps of it. */
export function evidenceDigest({ value }: Pick<EvidenceItem, "value">): Buffer {
  return createHash("sha256").update(value).digest();
}

/**
 * The 32 octets of the binding value, which the platform must have signed.
 * @throws {EvidenceRefused} bindingMissing where the challenge commits to no key
 */
export function bindingOctets({ binding }: Pick<VerificationContext, "binding">): Buffer {
  const octets = binding === undefined ? undefined : decodeBase64url(binding);
  if (octets?.length !== 32) {
    throw new EvidenceRefused("bindingMissing", "The challenge commits to no key that the evidence could be bound to");
  }
  return octets;
}

const boundReplayMs = 3_600_000;

/**
 * Until when evidence counts as used that says nothing of its own age: an hour. The binding value in it is of one challenge, which is open for
 * five minutes at most, so that nothing later could be bound to it.
 */
export function boundReplayUntil(now: Date): Date {
  return new Date(now.getTime() + boundReplayMs);
}

/**
 * An endorsement that is one base64url text of at most `bytesMax` octets.
 * @returns undefined where there is none of that name
 * @throws {EvidenceRefused} evidenceMalformed
 */
export function endorsementOctets(
  { endorsements = {} }: Pick<EvidenceItem, "endorsements">,
  name: string,
  bytesMax: number,
): Buffer | undefined {
  const text = Object.hasOwn(endorsements, name) ? endorsements[name] : undefined;
  if (text === undefined) return undefined;
  const octets = typeof text === "string" ? decodeBase64urlUpTo(bytesMax, text) : undefined;
  if (octets === undefined || octets.length === 0) {
    throw malformed(`The endorsement ${name} is not base64url of up to ${bytesMax} bytes`);
  }
  return octets;
}

/** True when all octets are zero: how platforms write "not set", and "debug" for measurements. */
export function isAllZero(octets: Uint8Array): boolean {
  return octets.every((octet) => octet === 0);
}
