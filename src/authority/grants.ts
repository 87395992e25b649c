/**
 * Grants: standing permissions, and the question whether one of them gives an identity to this evidence. Pure; what no grant
 * allows is refused.
 */
import { createHash } from "node:crypto";
import { type Static, Type } from "typebox";
import {
  bindingLevels,
  meetsBindingLevel,
  type BindingLevel,
  type Claims,
  type ClaimValue,
  type EvidenceRefusal,
  type VerifiedEvidence,
} from "../attestation/evidence.ts";
import { conditionFault, conditionSchema, meets, type Condition } from "./grantConditions.ts";
import {
  couldDerive,
  derive,
  isClaimReference,
  parseTemplate,
  readClaim,
  TemplateError,
  templateClaims,
  type IdentityTemplate,
} from "./grantTemplate.ts";
import type { Profile } from "./profile.ts";

/** One configured grant. What a schema cannot say is checked by `parseGrant`. */
export const grantSchema = Type.Object(
  {
    name: Type.String({ pattern: "^[a-z0-9][a-z0-9-]{0,63}$", description: "Names the grant in the inventory." }),
    spiffeId: Type.String({
      minLength: 1,
      maxLength: 2048,
      description:
        "Template of the identity. {claim} or {/json/pointer} fills one path segment or a part of one; {claim|lower} and {claim|sha256hex} transform it.",
    }),
    source: Type.String({ minLength: 1, maxLength: 40, description: "The `ref` of the evidence source." }),
    conditions: Type.Optional(Type.Array(conditionSchema, { maxItems: 32, description: "All of them must hold." })),
    minBinding: Type.Enum(bindingLevels, { description: "Least binding level accepted." }),
    profile: Type.String({ minLength: 1, maxLength: 64, description: "Profile of the certificates." }),
    maxLifetimeSeconds: Type.Optional(
      Type.Integer({ minimum: 60, description: "Limits lifetimes further than the profile does." }),
    ),
    owner: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: "Who answers for the identities." })),
    recordClaims: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
        maxItems: 32,
        uniqueItems: true,
        description: "Claims that are kept with each certificate; none unless said.",
      }),
    ),
  },
  { additionalProperties: false },
);

export type GrantConfiguration = Static<typeof grantSchema>;

export interface Grant {
  readonly name: string;
  /** First 16 hex digits of the SHA-256 over the grant's canonical JSON: names the rule that allowed a certificate. */
  readonly version: string;
  readonly template: IdentityTemplate;
  readonly source: string;
  readonly conditions: readonly Condition[];
  readonly minBinding: BindingLevel;
  readonly profile: string;
  readonly maxLifetimeSeconds?: number;
  readonly owner?: string;
  readonly recordClaims: readonly string[];
}

/** What grants need to know of an evidence source. */
export interface GrantSource {
  readonly format: string;
  /** The only claims it yields; undefined where its issuer decides. */
  readonly claimNames: readonly string[] | undefined;
  /** Claims that tell the tenants of a shared issuer apart; undefined where the issuer has one tenant. */
  readonly tenantClaims: readonly string[] | undefined;
}

export interface GrantSurroundings {
  readonly trustDomain: string;
  readonly sources: ReadonlyMap<string, GrantSource>;
  readonly profiles: ReadonlyMap<string, Pick<Profile, "identifiers" | "lifetimeMinSeconds" | "lifetimeMaxSeconds">>;
}

/**
 * Reads all grants.
 * @throws {Error} naming key, value and what was expected
 */
export function parseGrants(configurations: readonly GrantConfiguration[], surroundings: GrantSurroundings): Grant[] {
  const grants = configurations.map((configuration) => parseGrant(configuration, surroundings));
  const names = new Set<string>();
  for (const { name } of grants) {
    if (names.has(name)) throw new Error(`grants.${name}.name: "${name}": expected a name that no other grant has`);
    names.add(name);
  }
  return grants;
}

/**
 * Reads one grant that has passed `grantSchema`.
 * @throws {Error} naming key, value and what was expected
 */
export function parseGrant(
  configuration: GrantConfiguration,
  { trustDomain, sources, profiles }: GrantSurroundings,
): Grant {
  const { name, conditions = [], recordClaims = [], maxLifetimeSeconds, owner, ...rest } = configuration;
  const refuse = (key: string, value: unknown, expected: string): never => {
    throw new Error(`grants.${name}.${key}: ${JSON.stringify(value)}: ${expected}`);
  };
  const template = readTemplate(configuration.spiffeId, (fault) => refuse("spiffeId", rest.spiffeId, fault));
  if (template.trustDomain !== trustDomain) {
    refuse("spiffeId", rest.spiffeId, `expected the trust domain ${trustDomain}`);
  }
  const source = sources.get(rest.source) ?? refuse("source", rest.source, "expected the ref of a configured source");
  const requireClaim = (key: string, claim: string): void => {
    if (!isClaimReference(claim)) refuse(key, claim, "expected a claim's name or a JSON Pointer");
    if (source.claimNames !== undefined && !source.claimNames.includes(claim)) {
      refuse(key, claim, `expected a claim of format ${source.format}: ${source.claimNames.join(", ")}`);
    }
  };
  for (const claim of templateClaims(template)) requireClaim("spiffeId", claim);
  for (const [index, condition] of conditions.entries()) {
    requireClaim(`conditions[${index}].claim`, condition.claim);
    const fault = conditionFault(condition);
    if (fault !== undefined) refuse(`conditions[${index}]`, condition, fault);
  }
  for (const [index, claim] of recordClaims.entries()) requireClaim(`recordClaims[${index}]`, claim);
  if (conditions.length === 0 && templateClaims(template).length === 0) {
    refuse(
      "conditions",
      conditions,
      "expected a condition, or a placeholder in spiffeId: this grant would take any evidence of its source",
    );
  }

  if (source.tenantClaims !== undefined && !conditions.some((condition) => pinsOneOf(condition, source.tenantClaims))) {
    const claims = source.tenantClaims.join(", ");
    refuse(
      "conditions",
      conditions,
      `expected equals, oneOf or prefix for the tenant of this shared issuer: one of ${claims}`,
    );
  }

  const profile = profiles.get(rest.profile) ?? refuse("profile", rest.profile, "expected the name of a profile");
  if (!profile.identifiers.includes("uri")) refuse("profile", rest.profile, "expected a profile with uri identifiers");
  const { lifetimeMinSeconds: least, lifetimeMaxSeconds: most } = profile;
  if (maxLifetimeSeconds !== undefined && (maxLifetimeSeconds < least || maxLifetimeSeconds > most)) {
    refuse("maxLifetimeSeconds", maxLifetimeSeconds, `expected ${least} to ${most}, as profile ${rest.profile} allows`);
  }
  return Object.freeze({
    name,
    version: versionOf({ ...configuration, conditions, recordClaims }),
    template,
    source: rest.source,
    conditions,
    minBinding: rest.minBinding,
    profile: rest.profile,
    ...(maxLifetimeSeconds === undefined ? {} : { maxLifetimeSeconds }),
    ...(owner === undefined ? {} : { owner }),
    recordClaims,
  });
}

/** A range or a placeholder would let every tenant of the issuer in. */
function pinsOneOf({ claim, min, max }: Condition, claims: readonly string[] = []): boolean {
  return claims.includes(claim) && min === undefined && max === undefined;
}

function readTemplate(text: string, refuse: (fault: string) => never): IdentityTemplate {
  try {
    return parseTemplate(text);
  } catch (error) {
    if (error instanceof TemplateError) return refuse(error.message);
    throw error;
  }
}

/** Members sorted at every level, so that neither the order in a file nor a default written out makes another version. */
function versionOf(grant: GrantConfiguration): string {
  const canonical = JSON.stringify(grant, (_key, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  return createHash("sha256").update(canonical).digest("hex").slice(0, 16);
}

/** True when some evidence could get this SPIFFE ID by this grant. */
export function couldAllow(grant: Grant, spiffeId: string): boolean {
  return couldDerive(grant.template, spiffeId);
}

/** What evidence would do for a SPIFFE ID: `accept` of the challenge. Empty when no grant could allow it. */
export function acceptFor(
  grants: readonly Grant[],
  sources: ReadonlyMap<string, GrantSource>,
  spiffeId: string,
): { format: string; ref: string; minBinding: BindingLevel }[] {
  const least = new Map<string, BindingLevel>();
  for (const grant of grants) {
    if (!couldAllow(grant, spiffeId)) continue;
    const known = least.get(grant.source);
    if (known === undefined || meetsBindingLevel(known, grant.minBinding)) least.set(grant.source, grant.minBinding);
  }
  return [...least].flatMap(([ref, minBinding]) => {
    const source = sources.get(ref);
    return source === undefined ? [] : [{ format: source.format, ref, minBinding }];
  });
}

/** A grant that gives the identity, and the evidence it gives it to. */
export interface GrantAllows {
  readonly grant: Grant;
  readonly evidence: VerifiedEvidence;
}

export interface GrantRefuses {
  readonly refused: EvidenceRefusal;
  /** For the client: what failed, and nothing of what a grant says. */
  readonly message: string;
  /** For the operator's log only: the grant that came nearest and what it missed. */
  readonly nearest?: { readonly grant: string; readonly version: string; readonly missed: string };
}

interface Miss {
  /** How far the evidence got: 0 made no identity, 1 another one, 2 missed a condition, 3 the binding level. */
  readonly got: 0 | 1 | 2 | 3;
  readonly grant: Grant;
  readonly missed: string;
}

/**
 * Decides whether one of the grants gives this SPIFFE ID to one of these pieces of verified evidence. The ID is derived from the claims
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
      const miss = missOf(grant, spiffeId, evidence);
      if (miss === undefined) return { grant, evidence };
      misses.push(miss);
    }
  }
  return refusalOf(misses);
}

function missOf(grant: Grant, spiffeId: string, { claims, bindingLevel }: VerifiedEvidence): Miss | undefined {
  const derived = derive(grant.template, claims);
  if ("failed" in derived) return { got: 0, grant, missed: derived.failed };
  if (derived.spiffeId !== spiffeId) return { got: 1, grant, missed: "the claims derive another SPIFFE ID" };
  const failed = grant.conditions.findIndex((condition) => !meets(claims, condition));
  if (failed !== -1) return { got: 2, grant, missed: `conditions[${failed}] (${grant.conditions[failed]?.claim})` };
  if (meetsBindingLevel(bindingLevel, grant.minBinding)) return undefined;
  return { got: 3, grant, missed: `minBinding ${grant.minBinding} (the evidence reached ${bindingLevel})` };
}

const refusals = {
  0: { refused: "identityNotDerived", message: "The claims of the evidence do not make a SPIFFE ID" },
  1: { refused: "identityNotDerived", message: "The claims of the evidence derive another identity" },
  2: { refused: "identityNotDerived", message: "The claims of the evidence do not fit this identity" },
  3: {
    refused: "bindingMissing",
    message: "The evidence is not bound to this challenge as strongly as this identity requires",
  },
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
