/**
 * device-attest-01 (draft-ietf-acme-device-attest-09 §5): a WebAuthn attestation object proves which device holds a key, and the key
 * (docs/device-attest-01.md).
 */
import { EvidenceRefused } from "../../attestation/evidence.ts";
import { readAttestationObject } from "../../attestation/webauthn/attestationObject.ts";
import type { JsonObject } from "../../encoding/json.ts";
import { problem } from "../../problem/problem.ts";
import type { AcmeContext } from "../context.ts";
import type { Challenge } from "../ports.ts";
import { keyAuthorization } from "./keyAuthorization.ts";
import { answerWith, type Judged, type Responding } from "./verdict.ts";

/** As large as a piece of evidence may be; octets as sent. */
const objectLimit = 64 * 1024;

/**
 * Judges the attestation object of a response; unknown members are ignored.
 * @returns the challenge as it is now: valid, or invalid with the reason
 * @throws {Problem} malformed for a response of the wrong shape (nothing changes)
 */
export async function respondWithAttestation(
  { attObj }: JsonObject,
  responding: Responding,
  context: AcmeContext,
): Promise<Challenge> {
  if (typeof attObj !== "string" || attObj.length === 0 || attObj.length > objectLimit) {
    throw problem("malformed", `attObj is not base64url of 1 to ${objectLimit} octets`);
  }
  return await answerWith(() => judge(attObj, responding, context), "badAttestationStatement", responding, context);
}

/**
 * The object names a format and no source: of the sources of that format that a grant of today asks for, the first that takes it counts.
 * Each looks at certificates and signatures only, and none is asked for anything elsewhere.
 */
async function judge(
  value: string,
  { account, authorization: { identifier, profile }, challenge }: Responding,
  { policy, audience, now }: AcmeContext,
): Promise<Judged> {
  const { statementFormats } = readAttestationObject(value);
  const accountKey = account.key.thumbprint;
  const bindings = { audience, binding: undefined, identifier, accountKey };
  const context = { ...bindings, keyAuthorization: keyAuthorization(challenge.token, accountKey), now: now() };
  const delegatedBy = challenge.delegation?.source;
  let refusal: EvidenceRefused | undefined;
  for (const { format, ref } of policy.candidates(identifier.value, { profile, order: { delegatedBy } }).accept) {
    if (!statementFormats.includes(format)) continue;
    try {
      const verified = [await policy.verify({ format, ref, value }, context)];
      const decideAgain = () => policy.decide(identifier.value, { profile, delegatedBy }, verified);
      return { verified, decision: decideAgain(), decideAgain, bound: {} };
    } catch (error) {
      if (!(error instanceof EvidenceRefused)) throw error;
      refusal ??= error;
    }
  }
  throw (
    refusal ?? new EvidenceRefused("formatNotAccepted", "No source for this device takes statements of that format")
  );
}
