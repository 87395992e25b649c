/** workload-attest-01: evidence in the challenge response proves a SPIFFE ID (docs/workload-attest-01.md). */
import {
  EvidenceRefused,
  type Activation,
  type Endorsements,
  type EvidenceItem,
  type VerifiedEvidence,
} from "../../attestation/evidence.ts";
import { problem } from "../../problem/problem.ts";
import { decodeBase64url } from "../../encoding/base64url.ts";
import type { AcmeContext, IdentityPolicy } from "../context.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../encoding/json.ts";
import type { SigningAccount } from "../pipeline.ts";
import type { Accept, Challenge, DelegationRecord, Identifier } from "../ports.ts";
import { bindingValue, keyAuthorization } from "./keyAuthorization.ts";
import { answerWith, type Judged, type Responding } from "./verdict.ts";

/** Limits of the challenge's specification; octets count as sent (base64url or compact JWT). */
const itemsLimit = 4;
const valueLimit = 64 * 1024;
const nameLimit = 64;
/** Endorsements of all items together; octets as sent. */
const endorsementsLimit = 256 * 1024;
const endorsementNamesLimit = 16;
const endorsementListLimit = 16;

interface EvidenceResponse {
  /** S: SHA-256 of the SubjectPublicKeyInfo to be certified. */
  readonly spki: Buffer;
  readonly evidence: readonly EvidenceItem[];
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
  return await answerWith(() => judge(response, responding, context), "badAttestationStatement", responding, context);
}

/** Shape and size before anything else; unknown members are ignored. */
function readResponse({ spki, evidence }: JsonObject): EvidenceResponse {
  const committed = typeof spki === "string" ? decodeBase64url(spki) : undefined;
  if (committed?.length !== 32) throw problem("malformed", "spki is not base64url of a SHA-256 hash");
  return { spki: committed, evidence: readEvidence(evidence) };
}

/**
 * The `evidence` member of a challenge response.
 * @throws {Problem} malformed
 */
export function readEvidence(evidence: JsonValue | undefined): EvidenceItem[] {
  if (!Array.isArray(evidence) || evidence.length === 0 || evidence.length > itemsLimit) {
    throw problem("malformed", `evidence is not a list of one to ${itemsLimit} items`);
  }
  const items = evidence.map(readItem);
  const octets = items.flatMap(({ endorsements = {} }) => Object.values(endorsements).flat()).join("").length;
  if (octets > endorsementsLimit) throw problem("malformed", `endorsements have more than ${endorsementsLimit} octets`);
  return items;
}

function readItem(item: JsonValue): EvidenceItem {
  if (!isJsonObject(item)) throw problem("malformed", "an evidence item is not an object");
  const { format, ref, value } = item;
  if (typeof format !== "string" || typeof ref !== "string" || typeof value !== "string") {
    throw problem("malformed", "an evidence item needs format, ref and value");
  }
  if (format.length > nameLimit || ref.length > nameLimit)
    throw problem("malformed", "an evidence item's format or ref is too long");
  if (value.length === 0 || value.length > valueLimit) {
    throw problem("malformed", `an evidence item's value must have 1 to ${valueLimit} octets`);
  }
  const endorsements = readEndorsements(item["endorsements"]);
  return endorsements === undefined ? { format, ref, value } : { format, ref, value, endorsements };
}

/** Texts and lists of texts by name; what they mean is the format's affair. */
function readEndorsements(endorsements: JsonValue | undefined): Endorsements | undefined {
  if (endorsements === undefined || endorsements === null) return undefined;
  if (typeof endorsements !== "object" || Array.isArray(endorsements))
    throw problem("malformed", "an evidence item's endorsements are not an object");
  const entries = Object.entries(endorsements).map(([name, value]) => {
    const texts = Array.isArray(value) ? value : [value];
    if (name.length > nameLimit || texts.length > endorsementListLimit || !texts.every(isText))
      throw problem("malformed", `endorsements are texts, or lists of up to ${endorsementListLimit} texts`);
    return [name, Array.isArray(value) ? texts.filter(isText) : (texts.find(isText) ?? "")] as const;
  });
  if (entries.length > endorsementNamesLimit)
    throw problem("malformed", `an evidence item has more than ${endorsementNamesLimit} endorsements`);
  return Object.fromEntries(entries);
}

const isText = (value: JsonValue): value is string => typeof value === "string";

/** Every item must verify; then a grant must derive the very identifier from one of them. */
async function judge(
  response: EvidenceResponse,
  { account, authorization, challenge }: Responding,
  context: Judging,
): Promise<Judged> {
  return await judgeEvidence(response, { account, ...authorization, ...challenge }, context);
}

type Judging = Pick<AcmeContext, "policy" | "audience" | "now">;

/** What evidence is to prove, to whom it is to be bound, and what would do. */
export interface ToAttest {
  readonly account: SigningAccount;
  readonly identifier: Identifier;
  readonly profile: string;
  /** The challenge's, or what stands in its place. */
  readonly token: string;
  readonly accept?: readonly Accept[];
  /** The credential that the challenge gave out last. */
  readonly activation?: Activation;
  /** On whose behalf the order is. */
  readonly delegation?: DelegationRecord | undefined;
}

/**
 * Judges evidence for one identifier.
 * @throws {EvidenceRefused} · {SourceUnavailable}
 */
export async function judgeEvidence(
  { spki, evidence }: EvidenceResponse,
  { account, identifier, profile, token, accept = [], activation, delegation }: ToAttest,
  { policy, audience, now }: Judging,
): Promise<Judged> {
  const accountKey = account.key.thumbprint;
  const binding = bindingValue(keyAuthorization(token, accountKey), spki);
  const verified: VerifiedEvidence[] = [];
  for (const item of evidence) {
    requireAccepted(item, accept, policy);
    verified.push(await policy.verify(item, { now: now(), audience, binding, identifier, accountKey, activation }));
  }
  const decideAgain = () => policy.decide(identifier.value, { profile, delegatedBy: delegation?.source }, verified);
  return {
    verified,
    decision: decideAgain(),
    decideAgain,
    bound: { spki: spki.toString("base64url") },
  };
}

/**
 * What the challenge does not accept, alone or together with other evidence, is not looked at: its source may be away, or dear to ask.
 * @throws {EvidenceRefused} sourceNotConfigured · formatNotAccepted
 */
export function requireAccepted(
  { format, ref }: Pick<EvidenceItem, "format" | "ref">,
  accept: readonly Accept[],
  policy: IdentityPolicy,
): void {
  const all = accept.flatMap((one) => [one, ...(one.with ?? [])]);
  if (all.some((accepted) => accepted.format === format && accepted.ref === ref)) return;
  if (!policy.hasSource(ref)) throw new EvidenceRefused("sourceNotConfigured", "No evidence source has this ref");
  throw new EvidenceRefused("formatNotAccepted", "The challenge does not accept evidence of that format and ref");
}
