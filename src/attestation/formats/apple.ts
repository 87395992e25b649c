/**
 * Format `apple`: Apple attests a key of the Secure Enclave, for managed devices with their serial number and UDID (Apple, "Managed Device
 * Attestation"). There is no signature besides Apple's certificate: the attested key is the certificate's.
 *
 * Apple hashes the token of the challenge and not the key authorization, because it signs before it could know the account. So the
 * attestation is fresh and names the certificate's key, but not the account: level `bearer`. Where WebAuthn's extension has the hash of the
 * key authorization, the level is `nonce`.
 */
import { createHash } from "node:crypto";
import type { CborMap } from "../../encoding/cbor.ts";
import { contentOf, DerError, membersOf, readDer, tags } from "../../x509/der.ts";
import type { Certificate } from "../../x509/certificate.ts";
import type { TrustedRoots } from "../certificateChain.ts";
import {
  type BindingLevel,
  type Claims,
  EvidenceRefused,
  type EvidenceItem,
  type VerificationContext,
  type VerifiedEvidence,
} from "../evidence.ts";
import type { EvidenceFormat } from "../format.ts";
import { certificatesIn } from "../webauthn/attestationObject.ts";
import {
  type Attested,
  checkDeviceSource,
  deviceEvidence,
  deviceProperties,
  type DeviceSettings,
  extensionValue,
  openRoots,
  readStatement,
  requireKeyAuthorization,
  shortText,
  type ToBeAttested,
  verifyDeviceChain,
} from "../webauthn/deviceEvidence.ts";

const deviceClaims = ["serial", "udid"];

export const appleFormat: EvidenceFormat<DeviceSettings> = {
  name: "apple",
  properties: deviceProperties,
  check: checkDeviceSource,
  claimNames: [...deviceClaims, "sepOsVersion"],
  deviceClaims,
  levels: ["nonce", "bearer"],
  open(settings) {
    const roots = openRoots(settings);
    return { verify: async (item, context) => await verifyApple(item, roots, context) };
  },
};

const oids = {
  /** WebAuthn Level 2 §8.8. */
  webauthnNonce: "1.2.840.113635.100.8.2",
  /** The freshness code of managed devices. */
  freshness: "1.2.840.113635.100.8.11.1",
  serial: "1.2.840.113635.100.8.9.1",
  udid: "1.2.840.113635.100.8.9.2",
  sepOsVersion: "1.2.840.113635.100.8.10.2",
} as const;

/**
 * Yields flat claims: serial, udid and sepOsVersion, as far as the certificate has them.
 * @throws {EvidenceRefused}
 */
export async function verifyApple(
  item: EvidenceItem,
  roots: TrustedRoots,
  context: VerificationContext,
): Promise<VerifiedEvidence> {
  const keyAuthorization = requireKeyAuthorization(context);
  const signed = Buffer.from(keyAuthorization);
  const [token = ""] = keyAuthorization.split(".");
  const { statement } = readStatement(item);
  const asked = { signed, challenge: sha256(signed), tokenDigest: sha256(Buffer.from(token)) };
  return await deviceEvidence(item, context, deviceClaims, verifyAppleStatement(statement, asked, roots, context.now));
}

/**
 * The statement itself, whatever it is to be for.
 * @throws {EvidenceRefused}
 */
export function verifyAppleStatement(
  statement: CborMap,
  asked: ToBeAttested,
  roots: TrustedRoots,
  now: Date,
): Attested {
  const { leaf, publicKey } = verifyDeviceChain(certificatesIn(statement), roots, now);
  return {
    bindingLevel: bindingOf(leaf, asked),
    claims: claimsOf(leaf),
    publicKey,
    signed: leaf.tbs,
    expires: leaf.notAfter,
  };
}

/** Whatever the certificate is bound to must be right; one thing at least must be there. */
function bindingOf(leaf: Certificate, { signed, tokenDigest }: ToBeAttested): BindingLevel {
  const nonce = extensionValue(leaf, oids.webauthnNonce);
  const freshness = extensionValue(leaf, oids.freshness);
  if (nonce === undefined && freshness === undefined)
    throw new EvidenceRefused("bindingMissing", "The attestation has no freshness code");
  const isOther =
    (nonce !== undefined && !readNonce(nonce).equals(sha256(signed))) ||
    (freshness !== undefined && (tokenDigest === undefined || !freshness.equals(tokenDigest)));
  if (isOther) throw new EvidenceRefused("bindingMismatch", "The attestation is for another challenge");
  return nonce === undefined ? "bearer" : "nonce";
}

/** SEQUENCE { [1] { OCTET STRING } }. */
function readNonce(value: Buffer): Buffer {
  try {
    const [tagged] = membersOf(readDer(value), tags.sequence, "The nonce");
    return contentOf(membersOf(tagged, 0xa1, "The nonce")[0], tags.octetString, "The nonce");
  } catch (error) {
    if (error instanceof DerError)
      throw new EvidenceRefused("evidenceMalformed", "The attestation's nonce is malformed");
    throw error;
  }
}

function claimsOf(leaf: Certificate): Claims {
  const named = (["serial", "udid", "sepOsVersion"] as const).flatMap((name) => {
    const value = extensionValue(leaf, oids[name]);
    return value === undefined ? [] : [[name, shortText(value, `The ${name}`)] as const];
  });
  return Object.fromEntries(named);
}

const sha256 = (octets: Buffer): Buffer => createHash("sha256").update(octets).digest();
