/** Whether one of the grants gives an identity to this evidence. Pure; what no grant allows is refused. */
import { createHash } from "node:crypto";
import { readClaim } from "../attestation/claimReference.ts";
import {
  meetsBindingLevel,
  type BindingLevel,
  type Claims,
  type ClaimValue,
  type EvidenceRefusal,
  type VerifiedEvidence,
} from "../attestation/evidence.ts";
import type { SourceFacts } from "../attestation/sources.ts";
import { meets, type Condition } from "./grantConditions.ts";
import type { FurtherEvidence, Grant } from "./grants.ts";
import { couldMake, identityKeyOf, make, readIdentity, type Identity } from "./grantedIdentity.ts";

/** True when some evidence could get this SPIFFE ID or permanent identifier by this grant. */
export const couldAllow = (grant: Grant, identifier: string): boolean => couldDeriveBy(grant, readIdentity(identifier));

/** The same for one that was read already: once, however many grants there are. */
export const couldDeriveBy = ({ identity }: Grant, wanted: Identity | undefined): boolean =>
  wanted !== undefined && couldMake(identity, wanted);

/** A grant that asks for a delegation is none for an order without one, or with one from elsewhere. */
export const isDelegated = ({ onBehalfOf }: Grant, by: string | undefined): boolean =>
  onBehalfOf === undefined || (by !== undefined && onBehalfOf.includes(by));

/** One way to an identity: evidence of one source, and what must come with it. */
export interface AcceptedEvidence {
  readonly format: string;
  readonly ref: string;
  readonly minBinding: BindingLevel;
  readonly with?: readonly Omit<AcceptedEvidence, "with">[];
}

/** What evidence would do for an identifier: `accept` of the challenge. Empty when no grant could allow it. */
export function acceptFor(
  grants: readonly Grant[],
  sources: ReadonlyMap<string, Pick<SourceFacts, "format">>,
  identifier: string,
): AcceptedEvidence[] {
  const least = new Map<string, AcceptedEvidence>();
  const accepted = ({ source, minBinding }: Pick<FurtherEvidence, "source" | "minBinding">) => {
    const format = sources.get(source)?.format;
    return format === undefined ? [] : [{ format, ref: source, minBinding }];
  };
  const id = readIdentity(identifier);
  for (const grant of grants) {
    if (!couldDeriveBy(grant, id)) continue;
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
 * Decides whether one of the grants gives this identifier to these pieces of verified evidence. It is derived from the claims
 * and compared byte for byte. Of several grants the first counts; pass only those of the order's profile.
 */
export function decideGrant(
  grants: readonly Grant[],
  identifier: string,
  verified: readonly VerifiedEvidence[],
): GrantAllows | GrantRefuses {
  const misses: Miss[] = [];
  const id = readIdentity(identifier);
  for (const grant of grants) {
    if (!couldDeriveBy(grant, id)) continue;
    for (const evidence of verified) {
      if (evidence.ref !== grant.source) continue;
      const judged = judgeGrant(grant, identifier, evidence, verified);
      if (!("missed" in judged)) return judged;
      misses.push(judged);
    }
  }
  return refusalOf(misses);
}

/** One grant and one piece of evidence to make the identity; `verified` is everything that was shown. */
function judgeGrant(
  grant: Grant,
  identifier: string,
  evidence: VerifiedEvidence,
  verified: readonly VerifiedEvidence[],
): GrantAllows | Miss {
  return verdictOf(grant, evidence, checksOf(grant, identifier, evidence, verified));
}

/** One thing that a grant asks for, and whether the evidence has it. */
export interface Check {
  /** The grant's key: `spiffeId` or `permanentIdentifier`, `conditions[0]`, `minBinding`, `allOf[0]`; of further evidence the same below its own. */
  readonly key: string;
  readonly holds: boolean;
  /** As far as the evidence gets where this is what it misses. */
  readonly got: Miss["got"];
  /** For operators only, like all that follows: what is missed where it does not hold. */
  readonly missed: string;
  readonly expected?: unknown;
  /** Absent where the claim is. */
  readonly actual?: ClaimValue;
  /** Of `allOf`: the pieces of its source that were shown, and the one that does. */
  readonly pieces?: readonly { readonly evidence: VerifiedEvidence; readonly checks: readonly Check[] }[];
  readonly chosen?: VerifiedEvidence | undefined;
}

/** The first check that does not hold decides; what comes behind it is looked at by nobody who only wants to know whether. */
export function verdictOf(grant: Grant, evidence: VerifiedEvidence, checks: Iterable<Check>): GrantAllows | Miss {
  const used: [VerifiedEvidence, ...VerifiedEvidence[]] = [evidence];
  for (const { holds, got, missed, chosen } of checks) {
    if (!holds) return { got, grant, missed };
    if (chosen !== undefined) used.push(chosen);
  }
  return { grant, evidence: used };
}

/** All that the grant asks for, in the order in which it is looked at. */
export function* checksOf(
  grant: Grant,
  identifier: string,
  evidence: VerifiedEvidence,
  verified: readonly VerifiedEvidence[],
): Generator<Check, void> {
  const key = identityKeyOf(grant.identity);
  const made = make(grant.identity, evidence.claims);
  yield "failed" in made
    ? { key, holds: false, got: 0, missed: made.failed, expected: identifier }
    : {
        key,
        holds: made.identifier === identifier,
        got: 1,
        missed: `the claims derive another ${grant.identity.type === "uri" ? "SPIFFE ID" : "device"}`,
        expected: identifier,
        actual: made.identifier,
      };
  if (grant.renewal !== undefined) {
    const { spiffeId: shown } = evidence.claims;
    const missed = "the certificate shown is of another identity";
    yield { key: "renewal", holds: shown === identifier, got: 1, missed, expected: identifier, actual: shown ?? null };
  }
  yield* conditionChecks(grant.conditions, evidence.claims);
  yield bindingCheck(grant.minBinding, evidence);
  for (const [index, asked] of grant.allOf.entries()) yield allOfCheck(index, asked, evidence.claims, verified);
}

function allOfCheck(
  index: number,
  asked: FurtherEvidence,
  primary: Claims,
  verified: readonly VerifiedEvidence[],
): Check {
  const pieces = verified
    .filter(({ ref }) => ref === asked.source)
    .map((evidence) => ({ evidence, checks: [...furtherChecks(evidence, asked, primary)] }));
  const chosen = pieces.find(({ checks }) => checks.every(({ holds }) => holds))?.evidence;
  const why = pieces[0]?.checks.find(({ holds }) => !holds)?.missed ?? `there is no evidence of source ${asked.source}`;
  const key = `allOf[${index}]`;
  return {
    key,
    holds: chosen !== undefined,
    got: 4,
    missed: `${key}: ${why}`,
    expected: asked.source,
    pieces,
    chosen,
  };
}

/** What a piece of further evidence must be. */
function* furtherChecks(
  evidence: VerifiedEvidence,
  { minBinding, conditions, sameAs }: FurtherEvidence,
  primary: Claims,
): Generator<Check, void> {
  yield* conditionChecks(conditions, evidence.claims);
  for (const [index, { claim, as }] of sameAs.entries()) {
    const [own, other] = [readClaim(evidence.claims, claim), readClaim(primary, as)];
    yield {
      key: `sameAs[${index}]`,
      holds: isSame(own, other),
      got: 2,
      missed: `sameAs (${claim} as ${as})`,
      expected: { claim, as, ...(other !== undefined && { value: other }) },
      ...(own !== undefined && { actual: own }),
    };
  }
  yield bindingCheck(minBinding, evidence);
}

function* conditionChecks(conditions: readonly Condition[], claims: Claims): Generator<Check, void> {
  for (const [index, condition] of conditions.entries()) {
    const actual = readClaim(claims, condition.claim);
    const key = `conditions[${index}]`;
    yield {
      key,
      holds: meets(claims, condition),
      got: 2,
      missed: `${key} (${condition.claim})`,
      expected: condition,
      ...(actual !== undefined && { actual }),
    };
  }
}

const bindingCheck = (minBinding: BindingLevel, { bindingLevel }: VerifiedEvidence): Check => ({
  key: "minBinding",
  holds: meetsBindingLevel(bindingLevel, minBinding),
  got: 3,
  missed: `minBinding ${minBinding} (the evidence reached ${bindingLevel})`,
  expected: minBinding,
  actual: bindingLevel,
});

/** Texts and numbers only, and a claim that is absent is the same as none. */
function isSame(a: ClaimValue | undefined, b: ClaimValue | undefined): boolean {
  return (typeof a === "string" || typeof a === "number") && a === b;
}

const refusals = {
  0: { refused: "identityNotDerived", message: "The claims of the evidence do not make an identity" },
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
