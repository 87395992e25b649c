/** Whom a grant is about: workloads or devices, and that its source vouches for such. Pure. */
import type { SourceFacts } from "../attestation/sources.ts";
import { type Condition, pinsOneOf } from "./grantConditions.ts";
import { parseGrantedIdentity, type GrantedIdentity } from "./grantedIdentity.ts";
import type { GrantConfiguration, GrantSurroundings, Refuse } from "./grants.ts";
import { TemplateError } from "./grantTemplate.ts";

/** Exactly one kind of identity, and how it is written. */
export function readGrantedIdentity(
  { spiffeId, permanentIdentifier }: GrantConfiguration,
  { trustDomain }: GrantSurroundings,
  refuse: Refuse,
): GrantedIdentity {
  const text = permanentIdentifier ?? spiffeId;
  if (text === undefined || (permanentIdentifier !== undefined && spiffeId !== undefined))
    return refuse("spiffeId", spiffeId, "expected exactly one of spiffeId and permanentIdentifier");
  const type = permanentIdentifier === undefined ? "uri" : "permanent-identifier";
  const key = type === "uri" ? "spiffeId" : "permanentIdentifier";
  try {
    const identity = parseGrantedIdentity(type, text);
    if (identity.type === "uri" && identity.template.trustDomain !== trustDomain)
      refuse(key, text, `expected the trust domain ${trustDomain}`);
    return identity;
  } catch (error) {
    if (error instanceof TemplateError) return refuse(key, text, error.message);
    throw error;
  }
}

/**
 * Of a source that anybody's machine of a make can show evidence to, a grant says which machine.
 * @param named claims that make the identity, or that must equal one of the evidence that does
 */
export function requireMachine(
  at: string,
  named: readonly string[],
  conditions: readonly Condition[],
  { machineClaims }: SourceFacts,
  refuse: Refuse,
): void {
  if (machineClaims === undefined || named.some((claim) => machineClaims.includes(claim))) return;
  if (conditions.some((condition) => pinsOneOf(condition, machineClaims))) return;
  const expected = `expected one of ${machineClaims.join(", ")} in the identity, or by equals or oneOf: anybody has such a machine`;
  refuse(`${at}conditions`, conditions, expected);
}

/** Evidence of devices proves permanent identifiers, and no other evidence does. It comes alone: its challenge has room for one piece. */
export function requireSameSubject(
  { source: ref, conditions = [], anyDevice, allOf, onBehalfOf }: GrantConfiguration,
  identity: GrantedIdentity,
  source: SourceFacts,
  refuse: Refuse,
): void {
  const ofDevice = identity.type === "permanent-identifier";
  if (ofDevice !== source.ofDevices) {
    const what = ofDevice ? "devices, which permanentIdentifier asks for" : "workloads: this one vouches for devices";
    refuse("source", ref, `expected a source that vouches for ${what}`);
  }
  if (!ofDevice && anyDevice !== undefined) refuse("anyDevice", anyDevice, "expected it with permanentIdentifier only");
  if (!ofDevice) return;
  if (allOf !== undefined) refuse("allOf", allOf, "expected none with permanentIdentifier");
  if (onBehalfOf !== undefined) refuse("onBehalfOf", onBehalfOf, "expected none with permanentIdentifier");
  // A maker's root vouches for every device that was ever sold.
  const named = conditions.some((condition) => pinsOneOf(condition, source.deviceClaims));
  if (identity.template.claim !== undefined && !named && anyDevice !== true) {
    const claims = source.deviceClaims.join(", ");
    const expected = `expected equals, oneOf or prefix for which devices are meant, by one of ${claims}; or anyDevice: true`;
    refuse("conditions", conditions, expected);
  }
}
