/** How judged evidence ends a challenge: what workload-attest-01 and tkauth-01 have in common. */
import { EvidenceRefused, SourceUnavailable, type VerifiedEvidence } from "../../attestation/evidence.ts";
import type { StoredGrant } from "../../authority/ports.ts";
import { problem, problemDocument, type Problem, type ProblemCode } from "../../problem/problem.ts";
import { continueLineage, type Continued } from "./lineage.ts";
import { required, requireValid, type AcmeContext, type GrantDecision } from "../context.ts";
import type { SigningAccount } from "../pipeline.ts";
import type {
  AttestationRecord,
  Authorization,
  Challenge,
  DelegationRecord,
  EvidenceRecord,
  EvidenceUses,
  Identifier,
} from "../ports.ts";
import { timestamp } from "../resources.ts";

/** Seconds after which a client may try again when an evidence source could not be reached. */
const sourceRetrySeconds = 5;

/** Who answers which challenge. */
export interface Responding {
  readonly account: SigningAccount;
  readonly authorization: Authorization;
  readonly challenge: Challenge;
}

/** Evidence that verified, and the grant that gives the identity for it. */
export interface Judged {
  readonly verified: readonly VerifiedEvidence[];
  readonly decision: GrantDecision;
  /** The decision by the grants as they read now. @throws {EvidenceRefused} */
  readonly decideAgain: () => GrantDecision;
  /** What finalize has to find again: the committed key, or the account key that a token names; else the key that the evidence fixes. */
  readonly bound: Pick<AttestationRecord, "spki" | "accountKey">;
}

/**
 * Judges, and moves challenge, authorization and order together.
 * @param refusedAs type of the problem that a refused challenge keeps
 * @returns the challenge as it is now: valid, or invalid with the reason (workload-attest-01, server rule 7)
 * @throws {Problem} unavailable (503) when a source is away
 */
export async function answerWith(
  judge: () => Promise<Judged>,
  refusedAs: ProblemCode,
  responding: Responding,
  context: AcmeContext,
): Promise<Challenge> {
  return await orRefuse(async () => accept(await judge(), responding, context), refusedAs, responding, context);
}

/** The same for an act that may refuse evidence: then the challenge ends, and is what becomes of the act. */
export async function orRefuse<T>(
  act: () => Promise<T>,
  refusedAs: ProblemCode,
  responding: Responding,
  context: AcmeContext,
): Promise<T | Challenge> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof SourceUnavailable) throw sourceAway(error);
    if (error instanceof EvidenceRefused) return await refuse(error, refusedAs, responding, context);
    throw error;
  }
}

/** Our own trouble never ends a challenge and never lets anybody in. */
export const sourceAway = (cause: SourceUnavailable): Problem =>
  problem("unavailable", "an evidence source cannot be reached right now", {
    retryAfterSeconds: sourceRetrySeconds,
    cause,
  });

/** An order may take a pre-authorization in this very moment, or a grant be changed: then the two are done in this order. */
const acceptAttempts = 3;

async function accept(
  { verified, decision: decided, decideAgain, bound }: Judged,
  { account, authorization, challenge }: Responding,
  context: AcmeContext,
): Promise<Challenge> {
  const now = context.now();
  const valid: Challenge = { ...ended(challenge), status: "valid", validated: timestamp(now) };
  let { orderId } = authorization;
  let decision = decided;
  const { delegation } = challenge;
  const { identifier, profile } = authorization;
  const asked = { identifier, profile, accountId: account.id, delegation };
  let continued = await continueLineage(decision, asked, context);
  for (let attempt = 1; ; attempt++) {
    const outcome = await context.orders.attested({
      signer: account,
      authorizationId: authorization.id,
      orderId,
      challenge: valid,
      expiresAt: authorizationEnd(verified, now, context),
      attestation: recordOf(decision, bound, { delegation, continued, now }),
      storedGrant: storedGrantOf(decision),
      ...usesOf(verified, decision),
    });
    if (outcome === "replayed" || outcome === "pinned") throw usedUp(outcome);
    if (outcome === "attested") {
      context.onChallengeEnded(valid);
      return valid;
    }
    const read = await current(authorization, account, context);
    const before = decision;
    if (read.status === "pending" && decision.grantOrigin === "database") {
      await context.policy.reread();
      decision = decideAgain();
      continued = await continueLineage(decision, asked, context);
    }
    const changed = read.orderId !== orderId || !isSameGrant(decision, before);
    if (!changed || attempt === acceptAttempts) return sameChallenge(read, challenge);
    ({ orderId } = read);
  }
}

/** Why nothing was attested: somebody showed the evidence, or belongs to the instance, already. */
export function usedUp(outcome: "replayed" | "pinned"): EvidenceRefused {
  if (outcome === "replayed") return new EvidenceRefused("evidenceReplayed", "the evidence was used before");
  return new EvidenceRefused("instancePinned", "the instance that the evidence speaks of belongs to another account");
}

/** True where evidence that was judged again was given the identity by the same grant, unchanged. */
export const isSameGrant = (a: GrantDecision, b: GrantDecision): boolean =>
  a.grant === b.grant && a.grantVersion === b.grantVersion && a.grantOrigin === b.grantOrigin;

/** The grant that must still stand where evidence is accepted by it; null for one of the configuration. */
export const storedGrantOf = ({ grant, grantVersion, grantOrigin }: GrantDecision): StoredGrant | null =>
  grantOrigin === "database" ? { name: grant, version: grantVersion } : null;

/** What an ended challenge needs no more: what it was told of a TPM is nobody's record. */
function ended(challenge: Challenge): Challenge {
  const { activation: _, ...lasting } = challenge;
  return lasting;
}

/** What is used up by judged evidence: all that was shown, once, and the instances of what the grant goes by. */
export function usesOf(verified: readonly VerifiedEvidence[], { evidence, pinning }: GrantDecision): EvidenceUses {
  return {
    evidence: verified.map(({ oneTimeId, ref, replayUntil }) => ({ oneTimeId, source: ref, replayUntil })),
    instances: evidence.flatMap(({ ref, instance }) =>
      instance === undefined ? [] : [{ source: ref, instance, pinning: pinning.get(ref) ?? { mode: "strict" } }],
    ),
  };
}

/** What a grant's decision leaves with the authorization and, later, the certificate. */
export function recordOf(
  { grant, grantVersion, evidence, recordedClaims }: GrantDecision,
  bound: Judged["bound"],
  {
    delegation,
    continued,
    now,
  }: { delegation: DelegationRecord | undefined; continued: Continued | undefined; now: Date },
): AttestationRecord {
  const [primary, ...others] = evidence;
  const certificateKey = onlyKeyOf(evidence);
  const delegationEnds = delegation && new Date(delegation.expires);
  const notAfterCap = earliest([...evidence.map((one) => one.notAfterCap), delegationEnds, continued?.end]);
  return {
    ...bound,
    ...pieceOf(primary),
    platform: continued?.platform ?? { attestedAt: now.toISOString(), grant, grantVersion },
    ...(continued !== undefined && { renewal: continued.renewal }),
    ...(certificateKey !== undefined && { certificateKey }),
    ...(delegation !== undefined && { delegation }),
    ...(others.length > 0 && { with: others.map(pieceOf) }),
    grant,
    grantVersion,
    claims: recordedClaims,
    ...(notAfterCap && { notAfterCap: notAfterCap.toISOString() }),
  };
}

const pieceOf = ({ ref, format, digest, bindingLevel, instance }: VerifiedEvidence): EvidenceRecord => ({
  source: ref,
  format,
  digest: digest.toString("hex"),
  bindingLevel,
  ...(instance !== undefined && { instance }),
});

/** The key that the evidence fixes. Two pieces that fix two keys vouch for no certificate. */
function onlyKeyOf(evidence: readonly VerifiedEvidence[]): string | undefined {
  const keys = new Set(evidence.flatMap(({ certificateKey }) => certificateKey ?? []));
  if (keys.size > 1) throw new EvidenceRefused("bindingMismatch", "the evidence fixes different keys");
  return [...keys][0];
}

const earliest = (dates: readonly (Date | undefined)[]): Date | undefined =>
  dates.reduce(
    (least, date) => (least === undefined || (date !== undefined && date < least) ? date : least),
    undefined,
  );

/** An authorization does not outlive its evidence, but always long enough for the next request. */
export function authorizationEnd(
  verified: readonly VerifiedEvidence[],
  now: Date,
  { limits }: Pick<AcmeContext, "limits">,
): Date {
  const end = now.getTime() + limits.attestedAuthorizationSeconds * 1000;
  const expires = earliest(verified.map((one) => one.expires));
  return new Date(Math.min(end, Math.max(expires?.getTime() ?? end, now.getTime() + 10_000)));
}

/** What a client is told of refused evidence; the audit entry carries the same `instance`. */
export function evidenceProblem(
  { code, message }: EvidenceRefused,
  refusedAs: ProblemCode,
  identifier: Identifier,
  { newId }: Pick<AcmeContext, "newId">,
): Problem {
  return problem(refusedAs, message, {
    subproblems: [{ code, detail: message, identifier }],
    members: { instance: `urn:uuid:${newId()}` },
  });
}

/** Server rule 7: challenge, authorization and order become invalid, with the reason. */
async function refuse(
  refusal: EvidenceRefused,
  refusedAs: ProblemCode,
  { account, authorization, challenge }: Responding,
  context: AcmeContext,
): Promise<Challenge> {
  const error = problemDocument(evidenceProblem(refusal, refusedAs, authorization.identifier, context));
  const invalid: Challenge = { ...ended(challenge), status: "invalid", error };
  let { orderId } = authorization;
  for (let attempt = 1; ; attempt++) {
    if ((await context.orders.failed({ id: authorization.id, orderId }, invalid)) !== undefined) {
      context.onChallengeEnded(invalid);
      return invalid;
    }
    const read = await current(authorization, account, context);
    if (read.orderId === orderId || attempt === acceptAttempts) return sameChallenge(read, challenge);
    ({ orderId } = read);
  }
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

function sameChallenge({ challenges }: Authorization, { type }: Challenge): Challenge {
  const challenge = challenges.find((one) => one.type === type);
  if (challenge === undefined) throw new Error("an attested authorization lost its challenge");
  return challenge;
}
