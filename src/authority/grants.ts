/** Grants: standing permissions, as they are written and read. Whether one gives an identity is `grantDecision.ts`. Pure. */
import { createHash } from "node:crypto";
import { type Static, Type } from "typebox";
import { isClaimReference } from "../attestation/claimReference.ts";
import { bindingLevels, meetsBindingLevel, type BindingLevel } from "../attestation/evidence.ts";
import { pinningFault, pinningSchema, pinsAsStrictlyAs, type Pinning } from "../attestation/format.ts";
import type { SourceFacts } from "../attestation/sources.ts";
import { conditionFault, conditionSchema, pinsOneOf, type Condition } from "./grantConditions.ts";
import { identityClaims, identityKeyOf, type GrantedIdentity } from "./grantedIdentity.ts";
import { readGrantedIdentity, requireMachine, requireSameSubject } from "./grantSubject.ts";
import { renewalFault, renewalSchema, type RenewalTerms } from "./grantRenewal.ts";
import type { Profile } from "./profile.ts";

const claimName = Type.String({ minLength: 1, maxLength: 256 });

/** Evidence that a grant asks for beside the one that makes the identity. */
const furtherEvidenceSchema = Type.Object(
  {
    source: Type.String({ minLength: 1, maxLength: 40, description: "The `ref` of its source." }),
    minBinding: Type.Enum(bindingLevels, { description: "Least binding level accepted." }),
    conditions: Type.Optional(Type.Array(conditionSchema, { maxItems: 32, description: "All of them must hold." })),
    sameAs: Type.Optional(
      Type.Array(Type.Object({ claim: claimName, as: claimName }, { additionalProperties: false }), {
        maxItems: 8,
        description: "Claims of it that must equal a claim of the evidence that makes the identity.",
      }),
    ),
  },
  { additionalProperties: false },
);

/** One configured grant. What a schema cannot say is checked by `parseGrant`. */
export const grantSchema = Type.Object(
  {
    name: Type.String({ pattern: "^[a-z0-9][a-z0-9-]{0,63}$", description: "Names the grant in the inventory." }),
    spiffeId: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 2048,
        description:
          "Template of the identity. {claim} or {/json/pointer} fills one path segment or a part of one; {claim|lower}, {claim|sha256hex}, {claim|escaped} and {claim|digest} transform it.",
      }),
    ),
    permanentIdentifier: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 512,
        description:
          "In place of spiffeId: the device. {claim} is its whole name; a slash and the OID of who assigned it may follow.",
      }),
    ),
    anyDevice: Type.Optional(
      Type.Boolean({
        description:
          "With permanentIdentifier: every device that the source vouches for, without a condition on which.",
      }),
    ),
    source: Type.String({ minLength: 1, maxLength: 40, description: "The `ref` of the evidence source." }),
    conditions: Type.Optional(Type.Array(conditionSchema, { maxItems: 32, description: "All of them must hold." })),
    minBinding: Type.Enum(bindingLevels, { description: "Least binding level accepted." }),
    allOf: Type.Optional(
      Type.Array(furtherEvidenceSchema, {
        minItems: 1,
        maxItems: 3,
        description: "Further evidence that must come with it, each from another source.",
      }),
    ),
    onBehalfOf: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 40 }), {
        minItems: 1,
        maxItems: 16,
        uniqueItems: true,
        description: "Refs of delegation sources: the order must carry a delegation of one of them.",
      }),
    ),
    pinning: Type.Optional(pinningSchema),
    renewal: Type.Optional(renewalSchema),
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

/** Where a grant is written. */
export type GrantOrigin = "configuration" | "database";

export interface FurtherEvidence {
  readonly source: string;
  readonly minBinding: BindingLevel;
  readonly conditions: readonly Condition[];
  /** A claim of it, and the claim of the identity's evidence that it must equal. */
  readonly sameAs: readonly { readonly claim: string; readonly as: string }[];
}

export interface Grant {
  readonly name: string;
  /** First 16 hex digits of the SHA-256 over the grant's canonical JSON: names the rule that allowed a certificate. */
  readonly version: string;
  readonly origin: GrantOrigin;
  /** As it is written. */
  readonly configuration: GrantConfiguration;
  /** Identifiers that it can give. */
  readonly identity: GrantedIdentity;
  readonly source: string;
  readonly conditions: readonly Condition[];
  readonly minBinding: BindingLevel;
  /** All of it must come with the evidence of `source`. */
  readonly allOf: readonly FurtherEvidence[];
  /** Sources of delegations, of which the order must carry one; undefined where it need not. */
  readonly onBehalfOf: readonly string[] | undefined;
  /** How an instance is pinned, by the source of its evidence. */
  readonly pinning: ReadonlyMap<string, Pinning>;
  /** Where it renews certificates of this server; the identity is that of the certificate shown. */
  readonly renewal?: RenewalTerms;
  readonly profile: string;
  readonly maxLifetimeSeconds?: number;
  readonly owner?: string;
  readonly recordClaims: readonly string[];
}

export interface GrantSurroundings {
  /** Refs of the delegation sources. */
  readonly delegations?: readonly string[];
  readonly trustDomain: string;
  readonly sources: ReadonlyMap<string, SourceFacts>;
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

/** Refuses a grant. @throws {Error} naming key, value and what was expected */
export type Refuse = (key: string, value: unknown, expected: string) => never;

/**
 * Reads one grant that has passed `grantSchema`.
 * @throws {Error} naming key, value and what was expected
 */
export function parseGrant(
  configuration: GrantConfiguration,
  surroundings: GrantSurroundings,
  origin: GrantOrigin = "configuration",
): Grant {
  const { name, conditions = [], recordClaims = [], maxLifetimeSeconds, owner, ...rest } = configuration;
  const refuse: Refuse = (key, value, expected) => {
    throw new Error(`grants.${name}.${key}: ${JSON.stringify(value)}: ${expected}`);
  };
  const identity = readGrantedIdentity(configuration, surroundings, refuse);
  const key = identityKeyOf(identity);
  const source = readSource("", { ...rest, conditions }, surroundings, refuse);
  requireSameSubject(configuration, identity, source, refuse);
  requireMachine("", identityClaims(identity), conditions, source, refuse);
  for (const claim of identityClaims(identity)) requireClaim(key, claim, source, refuse);
  for (const [index, claim] of recordClaims.entries()) requireClaim(`recordClaims[${index}]`, claim, source, refuse);
  const fault = renewalFault(configuration.renewal, source.renews);
  if (fault !== undefined) refuse("renewal", configuration.renewal ?? null, fault);
  // A renewal's certificate names the identity by itself.
  if (!source.renews && conditions.length === 0 && identityClaims(identity).length === 0) {
    refuse(
      "conditions",
      conditions,
      `expected a condition, or a placeholder in ${key}: this grant would take any evidence of its source`,
    );
  }
  for (const [index, ref] of (configuration.onBehalfOf ?? []).entries()) {
    if (!surroundings.delegations?.includes(ref))
      refuse(`onBehalfOf[${index}]`, ref, "expected the ref of a delegation source");
  }
  if (!holdsWholePath(identity, conditions, source)) {
    const expected =
      "expected pathLength or spiffeId by equals or oneOf: longer paths would be cut to the same identity";
    refuse("conditions", conditions, expected);
  }
  const allOf = readAllOf(configuration, source, surroundings, refuse);
  requireProfile(configuration, identity, surroundings, refuse);
  return Object.freeze({
    name,
    version: versionOf({ ...configuration, conditions, recordClaims }),
    origin,
    configuration,
    identity,
    source: rest.source,
    conditions,
    minBinding: rest.minBinding,
    allOf,
    onBehalfOf: configuration.onBehalfOf,
    pinning: readPinning(configuration, surroundings, refuse),
    ...(configuration.renewal === undefined ? {} : { renewal: configuration.renewal }),
    profile: rest.profile,
    ...(maxLifetimeSeconds === undefined ? {} : { maxLifetimeSeconds }),
    ...(owner === undefined ? {} : { owner }),
    recordClaims,
  });
}

/** What evidence of one source must say, whether it makes the identity or comes with what does. */
function readSource(
  at: string,
  asked: Pick<FurtherEvidence, "source" | "minBinding" | "conditions">,
  { sources }: GrantSurroundings,
  refuse: Refuse,
): SourceFacts {
  const { conditions, minBinding } = asked;
  const source =
    sources.get(asked.source) ?? refuse(`${at}source`, asked.source, "expected the ref of a configured source");
  for (const [index, condition] of conditions.entries()) {
    requireClaim(`${at}conditions[${index}].claim`, condition.claim, source, refuse);
    const fault = conditionFault(condition);
    if (fault !== undefined) refuse(`${at}conditions[${index}]`, condition, fault);
  }
  if (!source.levels.some((level) => meetsBindingLevel(level, minBinding))) {
    const reached = source.levels.join(" or ");
    refuse(`${at}minBinding`, minBinding, `expected ${reached}: evidence of format ${source.format} reaches no more`);
  }
  if (source.tenantClaims !== undefined && !conditions.some((condition) => pinsOneOf(condition, source.tenantClaims))) {
    const claims = source.tenantClaims.join(", ");
    // Where the format fixes the claims, it is hardware of everybody's below one root that is told apart.
    const what =
      source.claimNames === undefined ? "for the tenant of this shared issuer" : "of what tells yours from everybody's";
    const expected = `expected equals, oneOf or prefix ${what}: one of ${claims}`;
    refuse(`${at}conditions`, conditions, expected);
  }
  return source;
}

function requireClaim(key: string, claim: string, source: SourceFacts, refuse: Refuse): void {
  if (!isClaimReference(claim)) refuse(key, claim, "expected a claim's name or a JSON Pointer");
  if (source.claimNames !== undefined && !source.claimNames.includes(claim)) {
    refuse(key, claim, `expected a claim of format ${source.format}: ${source.claimNames.join(", ")}`);
  }
}

function readAllOf(
  { source, allOf = [] }: GrantConfiguration,
  primary: SourceFacts,
  surroundings: GrantSurroundings,
  refuse: Refuse,
): FurtherEvidence[] {
  const seen = new Set([source]);
  return allOf.map(({ conditions = [], sameAs = [], ...asked }, index) => {
    const at = `allOf[${index}].`;
    if (seen.has(asked.source)) refuse(`${at}source`, asked.source, "expected a source that this grant names once");
    seen.add(asked.source);
    const further = readSource(at, { ...asked, conditions }, surroundings, refuse);
    if (further.ofDevices) refuse(`${at}source`, asked.source, "expected a source that vouches for workloads");
    if (further.renews)
      refuse(
        `${at}source`,
        asked.source,
        "expected another source: certificates of this server renew, and do nothing else",
      );
    for (const [position, { claim, as }] of sameAs.entries()) {
      requireClaim(`${at}sameAs[${position}].claim`, claim, further, refuse);
      requireClaim(`${at}sameAs[${position}].as`, as, primary, refuse);
    }
    if (conditions.length === 0 && sameAs.length === 0) {
      const expected = "expected a condition, or sameAs: any evidence of this source would do";
      refuse(`${at}conditions`, conditions, expected);
    }
    const same = sameAs.map(({ claim }) => claim);
    requireMachine(at, same, conditions, further, refuse);
    return { ...asked, conditions, sameAs };
  });
}

/** A grant's word counts for the source of the identity; what comes with it is pinned as its own source says. */
function readPinning(
  { source, allOf = [], pinning }: GrantConfiguration,
  { sources }: GrantSurroundings,
  refuse: Refuse,
): ReadonlyMap<string, Pinning> {
  const bySource = new Map<string, Pinning>();
  for (const ref of [source, ...allOf.map((further) => further.source)]) {
    const facts = sources.get(ref);
    if (facts !== undefined) bySource.set(ref, facts.pinning);
  }
  if (pinning === undefined) return bySource;
  const fault = pinningFault(pinning);
  if (fault !== undefined) refuse("pinning", pinning, fault);
  const least = sources.get(source)?.leastPinning;
  if (least !== undefined && !pinsAsStrictlyAs(pinning, least))
    refuse("pinning", pinning, `expected at least ${least.mode}, as the format of this source asks`);
  return bySource.set(source, pinning);
}

function requireProfile(
  { profile: name, maxLifetimeSeconds }: GrantConfiguration,
  { type }: GrantedIdentity,
  { profiles }: GrantSurroundings,
  refuse: Refuse,
): void {
  const profile = profiles.get(name) ?? refuse("profile", name, "expected the name of a profile");
  if (!profile.identifiers.includes(type)) refuse("profile", name, `expected a profile with ${type} identifiers`);
  const { lifetimeMinSeconds: least, lifetimeMaxSeconds: most } = profile;
  if (maxLifetimeSeconds !== undefined && (maxLifetimeSeconds < least || maxLifetimeSeconds > most)) {
    refuse("maxLifetimeSeconds", maxLifetimeSeconds, `expected ${least} to ${most}, as profile ${name} allows`);
  }
}

/** Where a claim stands for one segment of a path, what follows it must be known too: `/a/b` and `/a/b/c` are two workloads. */
function holdsWholePath(
  identity: GrantedIdentity,
  conditions: readonly Condition[],
  { claimNames = [], renews }: SourceFacts,
): boolean {
  if (renews) return true; // The identity is compared with that of the certificate shown, whole.
  if (!claimNames.includes("pathLength") || !identityClaims(identity).some((claim) => /^path\d+$/.test(claim)))
    return true;
  return conditions.some(
    ({ claim, equals, oneOf }) =>
      (claim === "pathLength" || claim === "spiffeId") && (equals !== undefined || oneOf !== undefined),
  );
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
