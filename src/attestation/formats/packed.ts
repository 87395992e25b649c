/**
 * Format `packed`: a device's own CA certifies a key of the device, and that key signs the key authorization (WebAuthn Level 2 §8.2 with
 * x5c; the step client calls it `step`). Keys of YubiKeys (PIV) and of CAs that put a permanent identifier into the certificate. Level
 * `nonce`: token, account key and certificate key are all in it. What signs for itself attests nothing and is refused.
 */
import { createHash } from "node:crypto";
import { contentOf, DerError, readDer, tags } from "../../x509/der.ts";
import type { Certificate } from "../../x509/certificate.ts";
import type { TrustedRoots } from "../certificateChain.ts";
import { type Claims, type EvidenceItem, invalid, malformed, type VerifiedEvidence } from "../evidence.ts";
import type { VerificationContext } from "../evidence.ts";
import type { EvidenceFormat } from "../format.ts";
import { certificatesIn } from "../webauthn/attestationObject.ts";
import { requireSignature } from "../webauthn/coseAlgorithm.ts";
import {
  type Attested,
  checkDeviceSource,
  deviceEvidence,
  deviceProperties,
  type DeviceSettings,
  extensionValue,
  openRoots,
  permanentIdentifierOf,
  readStatement,
  requireKeyAuthorization,
  type ToBeAttested,
  verifyDeviceChain,
} from "../webauthn/deviceEvidence.ts";
import type { CborMap } from "../../encoding/cbor.ts";

const deviceClaims = ["serial", "permanentIdentifier"];

export const packedFormat: EvidenceFormat<DeviceSettings> = {
  name: "packed",
  properties: deviceProperties,
  check: checkDeviceSource,
  claimNames: [...deviceClaims, "firmware", "pinPolicy", "touchPolicy", "aaguid"],
  deviceClaims,
  levels: ["nonce"],
  open(settings) {
    const roots = openRoots(settings);
    return { verify: async (item, context) => await verifyPacked(item, roots, context) };
  },
};

/**
 * Yields flat claims: serial, firmware, pinPolicy and touchPolicy where the certificate is a YubiKey's, permanentIdentifier where its
 * SubjectAltName has one, aaguid where it says its model.
 * @throws {EvidenceRefused}
 */
export async function verifyPacked(
  item: EvidenceItem,
  roots: TrustedRoots,
  context: VerificationContext,
): Promise<VerifiedEvidence> {
  const signed = Buffer.from(requireKeyAuthorization(context));
  const { statement } = readStatement(item);
  const challenge = createHash("sha256").update(signed).digest();
  const attested = verifyPackedStatement(statement, { signed, challenge, tokenDigest: undefined }, roots, context.now);
  return await deviceEvidence(item, context, deviceClaims, attested);
}

/**
 * The statement itself, whatever it is to sign.
 * @throws {EvidenceRefused}
 */
export function verifyPackedStatement(
  statement: CborMap,
  { signed }: ToBeAttested,
  roots: TrustedRoots,
  now: Date,
): Attested {
  if (!statement.has("x5c")) throw invalid("The statement has no x5c: a key that attests itself attests nothing");
  const { leaf, publicKey } = verifyDeviceChain(certificatesIn(statement), roots, now);
  requireSignature(statement, publicKey, signed);
  return {
    claims: readClaims(leaf),
    bindingLevel: "nonce",
    publicKey,
    signed: Buffer.concat([leaf.tbs, signed]),
    expires: leaf.notAfter,
  };
}

/** Of PIV attestations (Yubico, "PIV attestation"), and of FIDO attestation certificates. */
const oids = {
  firmware: "1.3.6.1.4.1.41482.3.3",
  serial: "1.3.6.1.4.1.41482.3.7",
  policies: "1.3.6.1.4.1.41482.3.8",
  aaguid: "1.3.6.1.4.1.45724.1.1.4",
} as const;
const pinPolicies = ["", "never", "once", "always"];
const touchPolicies = ["", "never", "always", "cached"];

function readClaims(leaf: Certificate): Claims {
  const permanentIdentifier = permanentIdentifierOf(leaf);
  const serial = extensionValue(leaf, oids.serial);
  const firmware = extensionValue(leaf, oids.firmware);
  const aaguid = extensionValue(leaf, oids.aaguid);
  return {
    ...(serial !== undefined && { serial: serialNumber(serial) }),
    ...(permanentIdentifier !== undefined && { permanentIdentifier }),
    ...(firmware?.length === 3 && { firmware: firmware.join(".") }),
    ...policies(extensionValue(leaf, oids.policies)),
    ...(aaguid !== undefined && { aaguid: read(aaguid, tags.octetString, "The model").toString("hex") }),
  };
}

/** A number, written as people read it off the device. */
function serialNumber(value: Buffer): string {
  const content = read(value, tags.integer, "The serial number");
  if (content.length > 16 || content.readInt8(0) < 0) throw malformed("The serial number is out of range");
  return BigInt(`0x${content.toString("hex")}`).toString();
}

function policies(value: Buffer | undefined): Claims {
  if (value?.length !== 2) return {};
  const [pin, touch] = [pinPolicies[value[0] ?? 0], touchPolicies[value[1] ?? 0]];
  return { ...(pin && { pinPolicy: pin }), ...(touch && { touchPolicy: touch }) };
}

function read(value: Buffer, tag: number, what: string): Buffer {
  try {
    return contentOf(readDer(value), tag, what);
  } catch (error) {
    if (error instanceof DerError) throw malformed(`${what} in the certificate is malformed`);
    throw error;
  }
}
