/**
 * Why an attestation key is believed to be one: its certificate, its enrolment by an operator, or the credential that only a TPM with a
 * certified endorsement key could activate for it.
 */
import { createHash, hash, timingSafeEqual, type KeyObject } from "node:crypto";
import { decodeBase64url } from "../../encoding/base64url.ts";
import { KeyRefused } from "../../x509/publicKey.ts";
import type { TrustedRoots, VerifiedSignatures } from "../certificateChain.ts";
import { type Claims, type Endorsements, invalid, malformed, type VerificationContext } from "../evidence.ts";
import type { EnrolledKeys } from "./enrolledKeys.ts";
import type { TpmEvidence } from "./evidence.ts";
import { nameOf, publicKeyOf, type ObjectAttribute, type PublicArea } from "./publicArea.ts";
import { verifyTpmCertificate } from "./tpmCertificate.ts";

/** What a source trusts; what is undefined it does not. */
export interface AttestationKeyTrust {
  readonly akRoots: TrustedRoots | undefined;
  /** @throws {SourceUnavailable} */
  readonly enrolled: (() => Promise<EnrolledKeys>) | undefined;
  readonly ekRoots: TrustedRoots | undefined;
  /** Of certificates that came before. */
  readonly verified?: VerifiedSignatures;
}

/** A key that signs for a TPM. */
export interface TrustedAttestationKey {
  readonly key: KeyObject;
  readonly claims: Claims;
  /** The TPM, as far as it can be told: its endorsement key, else its attestation key. */
  readonly instance: string;
  /** When the attestation key's certificate ends. */
  readonly notAfterCap?: Date;
}

/** A restricted key signs what its own TPM has made, and nothing that looks like it. */
const required: readonly ObjectAttribute[] = ["fixedTPM", "fixedParent", "sensitiveDataOrigin", "restricted", "sign"];

/**
 * Finds the reason to believe the key of this evidence; which one it is to be is said by what was sent.
 * @throws {EvidenceRefused} evidenceMalformed · evidenceInvalid · evidenceExpired
 * @throws {SourceUnavailable}
 */
export async function trustAttestationKey(
  evidence: Pick<TpmEvidence, "ak" | "x5c">,
  ref: string,
  endorsements: Endorsements,
  trust: AttestationKeyTrust,
  context: Pick<VerificationContext, "now" | "activation">,
): Promise<TrustedAttestationKey> {
  const { ak } = evidence;
  if (ak !== undefined) requireAttestationKey(ak);
  if (evidence.x5c.length > 0) return certified(evidence, trust, context.now);
  if (Object.hasOwn(endorsements, "activation")) {
    return activated(ak, ref, endorsements["activation"], trust, context.activation);
  }
  return await enrolled(ak, trust);
}

/** @throws {EvidenceRefused} evidenceInvalid for a key that could sign what no TPM made, or could be elsewhere as well */
export function requireAttestationKey({ attributes }: PublicArea): void {
  for (const attribute of required) {
    if (!attributes.has(attribute)) throw invalid(`The attestation key is not ${attribute}`);
  }
  if (attributes.has("decrypt")) throw invalid("The attestation key is for decryption, too");
}

/** The public key of an area. @throws {EvidenceRefused} evidenceInvalid for one that is weak or no key at all */
export function keyOfArea(area: PublicArea): KeyObject {
  try {
    return publicKeyOf(area).key;
  } catch (error) {
    if (error instanceof KeyRefused) throw invalid(error.message);
    throw error;
  }
}

function certified({ ak, x5c }: Pick<TpmEvidence, "ak" | "x5c">, trust: AttestationKeyTrust, now: Date) {
  if (trust.akRoots === undefined) throw invalid("The source takes no certificates of attestation keys");
  const rules = { now, ...(trust.verified !== undefined && { verified: trust.verified }) };
  const { leaf, publicKey, identity } = verifyTpmCertificate(x5c, trust.akRoots, "attestation", rules);
  if (ak !== undefined && !keyOfArea(ak).equals(publicKey)) {
    throw invalid("The certificate is of another key than the attestation key");
  }
  return { ...described(publicKey, { ...identity }), notAfterCap: leaf.notAfter };
}

/** Names first: they say more of the key than the key does. */
async function enrolled(ak: PublicArea | undefined, trust: AttestationKeyTrust): Promise<TrustedAttestationKey> {
  if (trust.enrolled === undefined) throw invalid("The attestation key has neither a certificate nor a credential");
  if (ak === undefined) throw malformed("The value has no attestation key");
  const key = keyOfArea(ak);
  const { byName, byKey } = await trust.enrolled();
  const akName = nameOf(ak).toString("hex");
  const named = byName.get(akName);
  const found = named ?? byKey.get(spkiSha256(key));
  if (found === undefined) throw invalid("The attestation key is not enrolled");
  return described(key, { ...(named !== undefined && { akName }), deviceName: found.device });
}

/** Whoever knows the secret is the TPM with this endorsement key, and has a key of this name. */
function activated(
  ak: PublicArea | undefined,
  ref: string,
  endorsement: Endorsements[string] | undefined,
  trust: AttestationKeyTrust,
  activation: VerificationContext["activation"],
): TrustedAttestationKey {
  if (trust.ekRoots === undefined) throw invalid("The source takes no endorsement keys");
  if (ak === undefined) throw malformed("The value has no attestation key");
  // inlineEvidence never has one: its only request is the one that brings the evidence.
  if (activation === undefined || activation.ref !== ref) {
    throw invalid("No credential of this source was asked for in this challenge");
  }
  const secret = typeof endorsement === "string" ? decodeBase64url(endorsement) : undefined;
  if (secret === undefined) throw malformed("The activation is not base64url");
  const digest = hash("sha256", secret, "buffer");
  const expected = Buffer.from(activation.secretSha256, "base64url");
  if (expected.length !== digest.length || !timingSafeEqual(digest, expected)) {
    throw invalid("The activation is not the secret of the last credential");
  }
  if (nameOf(ak).toString("hex") !== activation.akName) {
    throw invalid("The credential was made for another attestation key");
  }
  const found = described(keyOfArea(ak), { akName: activation.akName, ...activation.claims });
  return { ...found, instance: `ek:${activation.ekSha256}` };
}

/** The key's name is among the claims only where somebody vouched for it: the rest of a public area is what the sender says it is. */
function described(key: KeyObject, claims: Claims): TrustedAttestationKey {
  const akSha256 = spkiSha256(key);
  return { key, claims: { akSha256, ...claims }, instance: `ak:${akSha256}` };
}

/** SHA-256 of the SubjectPublicKeyInfo, hex. */
export function spkiSha256(key: KeyObject): string {
  return createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest("hex");
}
