/**
 * Format `tpm-device`: WebAuthn's statement `tpm` (Level 2 §8.3). A TPM certifies a key that it made, by an attestation key that a CA has
 * certified, over the hash of the key authorization. Level `nonce`. Format `tpm` is the same for workloads, in a shape of its own.
 */
import { hash } from "node:crypto";
import type { CborMap } from "../../encoding/cbor.ts";
import type { Certificate } from "../../x509/certificate.ts";
import type { TrustedRoots } from "../certificateChain.ts";
import { EvidenceRefused, type EvidenceItem, invalid } from "../evidence.ts";
import type { VerificationContext, VerifiedEvidence } from "../evidence.ts";
import type { EvidenceFormat } from "../format.ts";
import { spkiSha256 } from "../tpm/attestationKey.ts";
import { type Leniency, leniencyProperties, requireCertifiedKey, requireModernHashes } from "../tpm/certifiedKey.ts";
import { verifyTpmCertificate } from "../tpm/tpmCertificate.ts";
import {
  type Attested,
  checkDeviceSource,
  clockSkewSeconds,
  deviceEvidence,
  deviceProperties,
  type DeviceSettings,
  openRoots,
  permanentIdentifierOf,
  readStatement,
  requireKeyAuthorization,
  type ToBeAttested,
} from "../webauthn/deviceEvidence.ts";
import { readTpmStatement, requireTpmStatementSignature } from "../webauthn/tpmStatement.ts";

export type TpmDeviceSettings = DeviceSettings & Leniency;

const deviceClaims = ["permanentIdentifier", "akSha256"];

export const tpmDeviceFormat: EvidenceFormat<TpmDeviceSettings> = {
  name: "tpm-device",
  properties: { ...deviceProperties, ...leniencyProperties },
  check: checkDeviceSource,
  claimNames: [...deviceClaims, "manufacturer", "model", "firmware", "resetCount", "restartCount"],
  deviceClaims,
  levels: ["nonce"],
  open(settings) {
    const roots = openRoots(settings);
    return { verify: async (item, context) => await verifyTpmDevice(item, settings, roots, context) };
  },
};

/**
 * Yields flat claims: what the certificate of the attestation key says of device and TPM, the hash of that key, and the TPM's counters.
 * @throws {EvidenceRefused}
 */
export async function verifyTpmDevice(
  item: EvidenceItem,
  settings: TpmDeviceSettings,
  roots: TrustedRoots,
  context: VerificationContext,
): Promise<VerifiedEvidence> {
  const signed = Buffer.from(requireKeyAuthorization(context));
  const { statement } = readStatement(item);
  const attested = verifyTpmStatement(statement, { signed }, settings, roots, context.now);
  return await deviceEvidence(item, context, deviceClaims, attested);
}

/**
 * The statement itself, whatever it is over.
 * @throws {EvidenceRefused}
 */
export function verifyTpmStatement(
  statement: CborMap,
  { signed }: Pick<ToBeAttested, "signed">,
  settings: TpmDeviceSettings,
  roots: TrustedRoots,
  now: Date,
): Attested {
  const read = readTpmStatement(statement);
  const { algorithm, attest, object } = read;
  requireModernHashes([algorithm.hash, object.nameAlgorithm], settings);
  const {
    leaf,
    publicKey: ak,
    identity,
  } = verifyTpmCertificate(read.x5c, roots, "attestation", {
    now,
    clockSkewSeconds,
  });
  requireEmptySubject(leaf);
  requireTpmStatementSignature(read, ak);
  if (attest.extraData.length === 0) throw new EvidenceRefused("bindingMissing", "The statement is bound to nothing");
  if (!attest.extraData.equals(hash(algorithm.hash, signed, "buffer"))) {
    throw new EvidenceRefused("bindingMismatch", "The statement is bound to another challenge or account");
  }
  const publicKey = requireCertifiedKey(read, settings);
  const permanentIdentifier = permanentIdentifierOf(leaf);
  const { resetCount, restartCount } = attest;
  return {
    claims: {
      ...(permanentIdentifier !== undefined && { permanentIdentifier }),
      akSha256: spkiSha256(ak),
      ...identity,
      resetCount,
      restartCount,
    },
    bindingLevel: "nonce",
    publicKey,
    signed: read.bytes,
    expires: leaf.notAfter,
    notAfterCap: leaf.notAfter,
  };
}

/** WebAuthn Level 2 §8.3.1: what the certificate names is in its SubjectAltName. */
function requireEmptySubject({ subject }: Certificate): void {
  const empty = Buffer.of(0x30, 0x00);
  if (!subject.equals(empty)) throw invalid("The certificate of the attestation key has a subject");
}
