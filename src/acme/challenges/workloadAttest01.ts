/** workload-attest-01: evidence in the challenge response proves a SPIFFE ID (docs/workload-attest-01.md). */
import {
  EvidenceRefused,
  SourceUnavailable,
  type EvidenceItem,
  type VerifiedEvidence,
} from "../../attestation/evidence.ts";
import { problem, problemDocument } from "../../problem/problem.ts";
import { decodeBase64url } from "../../encoding/base64url.ts";
import { required, requireValid, type AcmeContext, type GrantDecision } from "../context.ts";
import type { JsonObject, JsonValue } from "../../encoding/json.ts";
import type { SigningAccount } from "../pipeline.ts";
import type { AttestationRecord, Authorization, Challenge } from "../ports.ts";
import { timestamp } from "../resources.ts";
import { bindingValue, keyAuthorization } from "./keyAuthorization.ts";

/** Limits of the challenge's specification; octets count as sent (base64url or compact JWT). */
const itemsLimit = 4;
const valueLimit = 64 * 1024;
const nameLimit = 64;

/** Seconds after which a client may try again when an evidence source could not be reached. */
const sourceRetrySeconds = 5;

interface EvidenceResponse {
  /** S: SHA-256 of the SubjectPublicKeyInfo to be certified. */
  readonly spki: Buffer;
  readonly evidence: readonly EvidenceItem[];
}

interface Responding {
  readonly account: SigningAccount;
  readonly authorization: Authorization;
  readonly challenge: Challenge;
}

/**
 * Judges the evidence and moves challenge, authorization and order together.
 * @returns the challenge as it is now: valid, or invalid with the reason (server rule 7)
 * @throws {Problem} malformed for a response of the wrong shape (nothing changes) · unavailable (503) when a source is away
 */
export async function respondWithEvidence(
  payload: JsonObject,
  responding: Responding,
  context: AcmeContext,
): Promise<Challenge> {
  const response = readResponse(payload);
  try {
    const { verified, decision } = await judge(response, responding, context);
    return await accept(response, verified, decision, responding, context);
  } catch (error) {
    if (error instanceof SourceUnavailable) {
      // Our own trouble never ends the challenge and never lets anybody in.
      throw problem("unavailable", "an evidence source cannot be reached right now", {
        retryAfterSeconds: sourceRetrySeconds,
        cause: error,
      });
    }
    if (error instanceof EvidenceRefused) return await refuse(error, responding, context);
    throw error;
  }
}

/** Shape and size before anything else; unknown members are ignored. */
function readResponse({ spki, evidence }: JsonObject): EvidenceResponse {
  const committed = typeof spki === "string" ? decodeBase64url(spki) : undefined;
  if (committed?.length !== 32) throw problem("malformed", "spki is not base64url of a SHA-256 hash");
  if (!Array.isArray(evidence) || evidence.length === 0 || evidence.length > itemsLimit) {
    throw problem("malformed", `evidence is not a list of one to ${itemsLimit} items`);
  }
  return { spki: committed, evidence: evidence.map(readItem) };
}

function readItem(item: JsonValue): EvidenceItem {
  if (typeof item !== "object" || item === null || Array.isArray(item))
    throw problem("malformed", "an evidence item is not an object");
  const { format, ref, value } = item;
  if (typeof format !== "string" || typeof ref !== "string" || typeof value !== "string") {
    throw problem("malformed", "an evidence item needs format, ref and value");
  }
  if (format.length > nameLimit || ref.length > nameLimit)
    throw problem("malformed", "an evidence item's format or ref is too long");
  if (value.length === 0 || value.length > valueLimit) {
    throw problem("malformed", `an evidence item's value must have 1 to ${valueLimit} octets`);
  }
  return { format, ref, value };
}

/** Every item must verify; then a grant must derive the very identifier from one of them. */
async function judge(
  { spki, evidence }: EvidenceResponse,
  { account, authorization, challenge }: Responding,
  { policy, audience, now }: AcmeContext,
): Promise<{ verified: readonly VerifiedEvidence[]; decision: GrantDecision }> {
  const binding = bindingValue(keyAuthorization(challenge.token, account.key.thumbprint), spki);
  const verified: VerifiedEvidence[] = [];
  for (const item of evidence) {
    // What the challenge does not accept is not looked at: its source may be away, or dear to ask.
    if (!challenge.accept?.some(({ format, ref }) => format === item.format && ref === item.ref)) {
      if (!policy.hasSource(item.ref))
        throw new EvidenceRefused("sourceNotConfigured", "No evidence source has this ref");
      throw new EvidenceRefused("formatNotAccepted", "The challenge does not accept evidence of that format and ref");
    }
    const { identifier } = authorization;
    const accountKey = account.key.thumbprint;
    verified.push(await policy.verify(item, { now: now(), audience, binding, identifier, accountKey }));
  }
  return { verified, decision: policy.decide(authorization.identifier.value, authorization.profile, verified) };
}

/** An order may take a pre-authorization in this very moment: then the two are done in this order. */
const acceptAttempts = 2;

async function accept(
  { spki }: EvidenceResponse,
  verified: readonly VerifiedEvidence[],
  { grant, grantVersion, evidence, recordedClaims }: GrantDecision,
  { account, authorization, challenge }: Responding,
  context: AcmeContext,
): Promise<Challenge> {
  const now = context.now();
  const valid: Challenge = { ...challenge, status: "valid", validated: timestamp(now) };
  const attestation: AttestationRecord = {
    spki: spki.toString("base64url"),
    source: evidence.ref,
    format: evidence.format,
    digest: evidence.digest.toString("hex"),
    bindingLevel: evidence.bindingLevel,
    ...(evidence.instance !== undefined && { instance: evidence.instance }),
    grant,
    grantVersion,
    claims: recordedClaims,
    ...(evidence.notAfterCap && { notAfterCap: evidence.notAfterCap.toISOString() }),
  };
  let { orderId } = authorization;
  for (let attempt = 1; ; attempt++) {
    const outcome = await context.orders.attested({
      signer: account,
      authorizationId: authorization.id,
      orderId,
      challenge: valid,
      expiresAt: authorizationEnd(evidence, now, context),
      attestation,
      evidence: verified.map(({ oneTimeId, ref, replayUntil }) => ({ oneTimeId, source: ref, replayUntil })),
    });
    if (outcome === "replayed") throw new EvidenceRefused("evidenceReplayed", "the evidence was used before");
    if (outcome === "attested") {
      context.onChallengeEnded(valid);
      return valid;
    }
    const read = await current(authorization, account, context);
    if (read.orderId === orderId || attempt === acceptAttempts) return challengeIn(read);
    ({ orderId } = read);
  }
}

/** An authorization does not outlive its evidence, but always long enough for the next request. */
function authorizationEnd({ expires }: VerifiedEvidence, now: Date, { limits }: AcmeContext): Date {
  const end = now.getTime() + limits.attestedAuthorizationSeconds * 1000;
  return new Date(Math.min(end, Math.max(expires?.getTime() ?? end, now.getTime() + 10_000)));
}

/** Server rule 7: challenge, authorization and order become invalid, with the reason. */
async function refuse(
  refusal: EvidenceRefused,
  { account, authorization, challenge }: Responding,
  context: AcmeContext,
): Promise<Challenge> {
  const error = problemDocument(
    problem("badAttestationStatement", refusal.message, {
      subproblems: [{ code: refusal.code, detail: refusal.message, identifier: authorization.identifier }],
      members: { instance: `urn:uuid:${context.newId()}` }, // The audit entry carries the same.
    }),
  );
  const invalid: Challenge = { ...challenge, status: "invalid", error };
  if (!(await context.orders.failed(authorization.id, invalid)))
    return challengeIn(await current(authorization, account, context));
  context.onChallengeEnded(invalid);
  return invalid;
}

/** Another request was first: its outcome is the answer. */
async function current(
  { id }: Authorization,
  account: SigningAccount,
  { orders }: AcmeContext,
): Promise<Authorization> {
  const read = await orders.readAuthorization(account, id);
  requireValid(read.status);
  return required(read);
}

function challengeIn({ challenges }: Authorization): Challenge {
  const challenge = challenges.find(({ type }) => type === "workload-attest-01");
  if (challenge === undefined) throw new Error("an attested authorization lost its challenge");
  return challenge;
}
