/** Explanations as the REST interface shows them. For operators: values of claims are shown, evidence is not. */
import type { VerifiedEvidence } from "../attestation/evidence.ts";
import type { Check } from "../authority/grantDecision.ts";
import type { GrantExplanation } from "../authority/grantExplanation.ts";
import type { StandingGrant } from "../authority/standingGrants.ts";
import { pinAllows, type Answer, type JudgedItem, type Question } from "./explanation.ts";
import type { InstancePin } from "./pinPorts.ts";

/** Grants that were not asked, by name, as many as are listed. */
const passedOverMax = 100;

/** What a certificate would be, or why none would. */
export type Result =
  | { readonly lifetime: { notBefore: Date; notAfter: Date } }
  | { readonly refused: { readonly code: string; readonly message: string } };

export function explanationJson(
  question: Question,
  answer: Answer,
  inactive: readonly StandingGrant[],
  result: Result,
) {
  const { decision, items, grants, quarantine } = answer;
  const places = new Map(items.map(({ verified }, place) => [verified, place]));
  const placeOf = (one: VerifiedEvidence): number => places.get(one) ?? -1;
  const asked = grants.filter(({ passedOver }) => passedOver === undefined);
  return {
    spiffeId: question.spiffeId,
    profile: question.profile ?? null,
    at: question.at.toISOString(),
    quarantine: quarantine === undefined ? null : { id: quarantine.id, reason: quarantine.reason },
    evidence: items.map(itemJson),
    grants: asked.map((one) => grantJson(one, items, question, placeOf)),
    notAsked: notAskedJson(grants, inactive),
    counts:
      "refused" in decision
        ? null
        : { grant: decision.grant.name, version: decision.grant.version, evidence: decision.evidence.map(placeOf) },
    result: resultJson(answer, result),
  };
}

function resultJson({ decision }: Answer, result: Result): object {
  const nearest = "refused" in decision ? { nearest: decision.nearest ?? null } : {};
  if ("refused" in result) return { allowed: false, ...result.refused, ...nearest };
  if ("refused" in decision) return { allowed: false, code: decision.refused, message: decision.message, ...nearest };
  const { notBefore, notAfter } = result.lifetime;
  return {
    allowed: true,
    profile: decision.grant.profile,
    notBefore: notBefore.toISOString(),
    notAfter: notAfter.toISOString(),
    lifetimeSeconds: (notAfter.getTime() - notBefore.getTime()) / 1000 + 1,
    maxLifetimeSeconds: decision.grant.maxLifetimeSeconds ?? null,
  };
}

function itemJson({ format, ref, written, verified, refused, used, pin }: JudgedItem): object {
  const common = { format, ref, written };
  if (verified === undefined) return { ...common, verified: false, code: refused?.code, message: refused?.message };
  return {
    ...common,
    verified: true,
    bindingLevel: verified.bindingLevel,
    claims: verified.claims,
    instance: verified.instance ?? null,
    expires: verified.expires?.toISOString() ?? null,
    notAfterCap: verified.notAfterCap?.toISOString() ?? null,
    used,
    pin: pin === undefined ? null : pinJson(pin),
  };
}

const pinJson = ({ mode, most, accounts, firstSeenAt, expiresAt }: InstancePin): object => ({
  mode,
  most,
  accounts: accounts.map((one) => one.toString("base64url")),
  firstSeenAt: firstSeenAt.toISOString(),
  expiresAt: expiresAt?.toISOString() ?? null,
});

function grantJson(
  { grant, attempts, allows }: GrantExplanation,
  items: readonly JudgedItem[],
  { account }: Question,
  placeOf: (one: VerifiedEvidence) => number,
): object {
  return {
    name: grant.name,
    version: grant.version,
    origin: grant.origin,
    owner: grant.owner ?? null,
    profile: grant.profile,
    spiffeId: grant.configuration.spiffeId,
    source: grant.source,
    allows,
    attempts: attempts.map(({ evidence, checks, allows: fits }) => ({
      evidence: placeOf(evidence),
      allows: fits,
      checks: checks.map((check) => checkJson(check, placeOf)),
    })),
    pinning: items.flatMap(({ ref, verified, pin }) => {
      const pinning = grant.pinning.get(ref);
      if (pinning === undefined || verified?.instance === undefined) return [];
      return [{ ...pinning, evidence: placeOf(verified), allows: pinAllows(pinning, pin, account) ?? null }];
    }),
  };
}

function checkJson(
  { key, holds, missed, expected, actual, pieces }: Check,
  placeOf: (one: VerifiedEvidence) => number,
): object {
  return {
    key,
    holds,
    ...(!holds && { missed }),
    expected,
    ...(actual !== undefined && { actual }),
    ...(pieces !== undefined && {
      pieces: pieces.map(({ evidence, checks }) => ({
        evidence: placeOf(evidence),
        checks: checks.map((check) => checkJson(check, placeOf)),
      })),
    }),
  };
}

function notAskedJson(grants: readonly GrantExplanation[], inactive: readonly StandingGrant[]): object {
  const passed = [
    ...inactive.map(({ name, inactive: reason }) => ({ name, why: "inactive", reason })),
    // Those of the right shape first: they are nearer.
    ...grants.flatMap(({ grant: { name }, passedOver }) =>
      passedOver === undefined || passedOver === "shape" ? [] : [{ name, why: passedOver }],
    ),
    ...grants.flatMap(({ grant: { name }, passedOver }) => (passedOver === "shape" ? [{ name, why: passedOver }] : [])),
  ];
  const count = (why: string): number => passed.filter((one) => one.why === why).length;
  return {
    shape: count("shape"),
    profile: count("profile"),
    delegation: count("delegation"),
    inactive: count("inactive"),
    grants: passed.slice(0, passedOverMax),
  };
}
