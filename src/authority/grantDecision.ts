/** Whether one of the grants gives an identity to this evidence. Pure; what no grant allows is refused. */
import { createHash } from "node:crypto";
import {
  meetsBindingLevel,
  type BindingLevel,
  type Claims,
  type ClaimValue,
  type EvidenceRefusal,
  type VerifiedEvidence,
} from "../attestation/evidence.ts";
import type { SourceFacts } from "../attestation/sources.ts";
import { meets } from "./grantConditions.ts";
import type { FurtherEvidence, Grant } from "./grants.ts";
import { couldDerive, derive, readClaim } from "./grantTemplate.ts";

/** True when some evidence could get this SPIFFE ID by this grant. */
export function couldAllow(grant: Grant, spiffeId: string): boolean {
  return couldDerive(grant.template, spiffeId);
}

/** One way to an identity: evidence of one source, and what must come with it. */
export interface AcceptedEvidence {
  readonly format: string;
  readonly ref: string;
  readonly minBinding: BindingLevel;
  readonly with?: readonly Omit<AcceptedEvidence, "with">[];
}

/** What evidence would do for a SPIFFE ID: `accept` of the challenge. Empty when no grant could allow it. */
export function acceptFor(
  grants: readonly Grant[],
  sources: ReadonlyMap<string, Pick<SourceFacts, "format">>,
  spiffeId: string,
): AcceptedEvidence[] {
  const least = new Map<string, AcceptedEvidence>();
  const accepted = ({ source, minBinding }: Pick<FurtherEvidence, "source" | "minBinding">) => {
    const format = sources.get(source)?.format;
    return format === undefined ? [] : [{ format, ref: source, minBinding }];
  };
  for (const grant of grants) {
    if (!couldAllow(grant, spiffeId)) continue;
    const further = grant.allOf.flatMap(accepted);
    const [primary] = accepted(grant);
    if (primary === undefined || further.length < grant.allOf.length) continue;
    const key = JSON.stringify([grant.source, further]);
    const known = least.get(key);
    if (known !== undefined && !meetsBindingLevel(known.minBinding, grant.minBinding)) continue;
    least.set(key, further.length === 0 ? primary : { ...primary, with: further });
  }
  return [...least.values()];
}

/** A grant that gives the identity, and the evidence it gives it to: what makes the identity first, then what came with it. */
export interface GrantAllows {
  readonly grant: Grant;
  readonly evidence: readonly [VerifiedEvidence, ...VerifiedEvidence[]];
}

export interface GrantRefuses {
  readonly refused: EvidenceRefusal;
  /** For the client: what failed, and nothing of what a grant says. */
  readonly message: string;
  /** For the operator's log only: the grant that came nearest and what it missed. */
  readonly nearest?: { readonly grant: string; readonly version: string; readonly missed: string };
}

/** Where the evidence and a grant part. */
export interface Miss {
  /** How far the evidence got: 0 made no identity, 1 another one, 2 missed a condition, 3 the binding level, 4 what must come with it. */
  readonly got: 0 | 1 | 2 | 3 | 4;
  readonly grant: Grant;
  readonly missed: string;
}

/**
 * Decides whether one of the grants gives this SPIFFE ID to these pieces of verified evidence. The ID is derived from the claims
 * and compared byte for byte. Of several grants the first counts; pass only those of the order's profile.
 */
export function decideGrant(
  grants: readonly Grant[],
  spiffeId: string,
  verified: readonly VerifiedEvidence[],
): GrantAllows | GrantRefuses {
  const misses: Miss[] = [];
  for (const grant of grants) {
    if (!couldAllow(grant, spiffeId)) continue;
    for (const evidence of verified) {
      if (evidence.ref !== grant.source) continue;
      const judged = judgeGrant(grant, spiffeId, evidence, verified);
      if (!("missed" in judged)) return judged;
      misses.push(judged);
    }
  }
  return refusalOf(misses);
}

/** One grant and one piece of evidence to make the identity; `verified` is everything that was shown. */
export function judgeGrant(
  grant: Grant,
  spiffeId: string,
  evidence: VerifiedEvidence,
  verified: readonly VerifiedEvidence[],
): GrantAllows | Miss {
  const { claims, bindingLevel } = evidence;
  const derived = derive(grant.template, claims);
  if ("failed" in derived) return { got: 0, grant, missed: derived.failed };
  if (derived.spiffeId !== spiffeId) return { got: 1, grant, missed: "the claims derive another SPIFFE ID" };
  const failed = grant.conditions.findIndex((condition) => !meets(claims, condition));
  if (failed !== -1) return { got: 2, grant, missed: `conditions[${failed}] (${grant.conditions[failed]?.claim})` };
  if (!meetsBindingLevel(bindingLevel, grant.minBinding)) {
    return { got: 3, grant, missed: `minBinding ${grant.minBinding} (the evidence reached ${bindingLevel})` };
  }
  const used: [VerifiedEvidence, ...VerifiedEvidence[]] = [evidence];
  for (const [index, asked] of grant.allOf.entries()) {
    const judged = verified
      .filter(({ ref }) => ref === asked.source)
      .map((one) => ({ one, fault: faultOf(one, asked, claims) }));
    const good = judged.find(({ fault }) => fault === undefined);
    if (good === undefined) {
      const why = judged[0]?.fault ?? `there is no evidence of source ${asked.source}`;
      return { got: 4, grant, missed: `allOf[${index}]: ${why}` };
    }
    used.push(good.one);
  }
  return { grant, evidence: used };
}

/** Why this is not the further evidence that is asked for, or undefined. */
function faultOf(
  { claims, bindingLevel }: VerifiedEvidence,
  { minBinding, conditions, sameAs }: FurtherEvidence,
  primary: Claims,
): string | undefined {
  const failed = conditions.findIndex((condition) => !meets(claims, condition));
  if (failed !== -1) return `conditions[${failed}] (${conditions[failed]?.claim})`;
  const different = sameAs.find(({ claim, as }) => !isSame(readClaim(claims, claim), readClaim(primary, as)));
  if (different !== undefined) return `sameAs (${different.claim} as ${different.as})`;
  return meetsBindingLevel(bindingLevel, minBinding)
    ? undefined
    : `minBinding ${minBinding} (the evidence reached ${bindingLevel})`;
}

/** Texts and numbers only, and a claim that is absent is the same as none. */
function isSame(a: ClaimValue | undefined, b: ClaimValue | undefined): boolean {
  return (typeof a === "string" || typeof a === "number") && a === b;
}

const refusals = {
  0: { refused: "identityNotDerived", message: "The claims of the evidence do not make a SPIFFE ID" },
  1: { refused: "identityNotDerived", message: "The claims of the evidence derive another identity" },
  2: { refused: "identityNotDerived", message: "The claims of the evidence do not fit this identity" },
  3: {
    refused: "bindingMissing",
    message: "The evidence is not bound to this challenge as strongly as this identity requires",
  },
  4: { refused: "identityNotDerived", message: "This identity requires further evidence that fits" },
} as const satisfies Record<Miss["got"], GrantRefuses>;

function refusalOf(misses: readonly Miss[]): GrantRefuses {
  const [first, ...others] = misses;
  if (first === undefined) {
    return { refused: "identityNotDerived", message: "Evidence of this source does not lead to this identity" };
  }
  const { got, grant, missed } = others.reduce((best, miss) => (miss.got > best.got ? miss : best), first);
  return { ...refusals[got], nearest: { grant: grant.name, version: grant.version, missed } };
}

const recordedCharactersMax = 1024;

/**
 * The claims that a grant keeps with a certificate, by the name the grant calls them. One that is long, or that JSON in Postgres cannot
 * hold (NUL, lone surrogates), is kept as `{"sha256": …}` of its JSON.
 */
export function recordedClaims({ recordClaims }: Grant, claims: Claims): Claims {
  const recorded: [string, ClaimValue][] = [];
  for (const name of recordClaims) {
    const value = readClaim(claims, name);
    if (value === undefined) continue;
    const json = JSON.stringify(value);
    // JSON.stringify writes NUL and lone surrogates as escapes. A text that spells one out is caught too and loses only legibility.
    const storable = json.length <= recordedCharactersMax && !/\\u(?:0000|d[89a-f])/.test(json);
    recorded.push([name, storable ? value : { sha256: createHash("sha256").update(json).digest("hex") }]);
  }
  return Object.fromEntries(recorded);
}
