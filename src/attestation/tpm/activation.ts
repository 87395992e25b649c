/**
 * Credential activation: an attestation key without a certificate is shown to be in the TPM that an endorsement certificate is for. The client
 * names both, gets a secret wrapped for the two, and shows the secret with its evidence (TPM 2.0 Library Part 1 §9.5.3.3).
 */
import { hash, randomBytes } from "node:crypto";
import type { JsonObject } from "../../encoding/json.ts";
import { type Activation, type ActivationOffer, invalid, malformed } from "../evidence.ts";
import { keyOfArea, requireAttestationKey, spkiSha256, type AttestationKeyTrust } from "./attestationKey.ts";
import { certificatesMax, readCertificates, requireBytes } from "./evidence.ts";
import { makeCredential } from "./makeCredential.ts";
import { nameOf, readPublicArea, type PublicArea } from "./publicArea.ts";
import { TpmStructureError } from "./reader.ts";
import { verifyTpmCertificate } from "./tpmCertificate.ts";

type ActivationTrust = Pick<AttestationKeyTrust, "ekRoots" | "verified">;

/** TPM2B_DIGEST that the credential holds. */
const secretBytes = 32;

/**
 * Makes a credential for `{"ek": DER, "ekChain"?: [DER …], "ak": TPMT_PUBLIC}`, base64url each.
 * @returns what the client gets, and what is kept to know the answer by; the secret itself is in neither
 * @throws {EvidenceRefused} evidenceMalformed · evidenceInvalid · evidenceExpired
 */
export function offerActivation(
  request: JsonObject,
  ref: string,
  { trust, allowSha1, now }: { trust: ActivationTrust; allowSha1: boolean; now: Date },
): ActivationOffer {
  const { ekRoots, verified } = trust;
  if (ekRoots === undefined) throw invalid("The source takes no endorsement keys");
  const ek = requireBytes(request["ek"], "activation.ek", 8192);
  const chain = [ek, ...readCertificates(request["ekChain"], "activation.ekChain")];
  if (chain.length > certificatesMax)
    throw malformed(`activation.ekChain has more than ${certificatesMax - 1} certificates`);
  const ak = readAttestationKey(requireBytes(request["ak"], "activation.ak"));
  requireAttestationKey(ak);
  keyOfArea(ak);
  if (ak.nameAlgorithm === "sha1" && !allowSha1) {
    throw invalid("The attestation key's name is made with SHA-1");
  }
  const { publicKey, identity } = verifyTpmCertificate(chain, ekRoots, "endorsement", {
    now,
    ...(verified !== undefined && { verified }),
  });
  const [secret, name] = [randomBytes(secretBytes), nameOf(ak)];
  const ekSha256 = spkiSha256(publicKey);
  const kept: Activation = {
    ref,
    secretSha256: hash("sha256", secret, "base64url"),
    akName: name.toString("hex"),
    ekSha256,
    claims: { ekSha256, ...identity },
  };
  return { kept, ...wrapped(() => makeCredential(publicKey, name, secret)) };
}

function readAttestationKey(bytes: Buffer): PublicArea {
  try {
    return readPublicArea(bytes);
  } catch (error) {
    if (error instanceof TpmStructureError) throw malformed(error.message);
    throw error;
  }
}

function wrapped(make: () => { credentialBlob: Buffer; encryptedSecret: Buffer }) {
  try {
    return make();
  } catch (error) {
    if (error instanceof TpmStructureError) throw invalid(error.message);
    throw error;
  }
}
