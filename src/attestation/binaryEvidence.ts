/** What formats of binary evidence have in common: how the octets and the binding value come, and what becomes of endorsements. */
import { createHash } from "node:crypto";
import { decodeBase64url } from "../encoding/base64url.ts";
import { EvidenceRefused, type EvidenceItem, type VerificationContext } from "./evidence.ts";

/**
 * The octets of the evidence, sent as base64url.
 * @param bytesMax most octets; nothing longer is decoded
 * @throws {EvidenceRefused} evidenceMalformed
 */
export function evidenceOctets({ value }: Pick<EvidenceItem, "value">, bytesMax: number): Buffer {
  if (value.length > Math.ceil((bytesMax * 4) / 3)) {
    throw new EvidenceRefused("evidenceMalformed", `The evidence has more than ${bytesMax} bytes`);
  }
  const octets = decodeBase64url(value);
  if (octets === undefined || octets.length === 0) {
    throw new EvidenceRefused("evidenceMalformed", "The evidence is not base64url");
  }
  return octets;
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
  const fits = typeof text === "string" && text.length <= Math.ceil((bytesMax * 4) / 3);
  const octets = fits ? decodeBase64url(text) : undefined;
  if (octets === undefined || octets.length === 0) {
    throw new EvidenceRefused(
      "evidenceMalformed",
      `The endorsement ${name} is not base64url of up to ${bytesMax} bytes`,
    );
  }
  return octets;
}

/** True when all octets are zero: how platforms write "not set", and "debug" for measurements. */
export function isAllZero(octets: Uint8Array): boolean {
  return octets.every((octet) => octet === 0);
}
