/**
 * What a grant gives: SPIFFE IDs or devices, each by its template. Pure.
 *
 * An identifier needs no type here: a SPIFFE ID has slashes where no permanent identifier may have them.
 */
import type { ClaimReference } from "../attestation/claimReference.ts";
import type { Claims } from "../attestation/evidence.ts";
import {
  parsePermanentIdentifier,
  PermanentIdentifierError,
  type PermanentIdentifier,
} from "../x509/permanentIdentifier.ts";
import { parseSpiffeId, SpiffeIdError, type SpiffeId } from "../x509/spiffeId.ts";
import { couldDeriveDevice, deriveDevice, parseDeviceTemplate, type DeviceTemplate } from "./deviceTemplate.ts";
import {
  couldDerive,
  derive,
  parseTemplate,
  TemplateError,
  templateClaims,
  type IdentityTemplate,
} from "./grantTemplate.ts";

export type GrantedIdentity =
  | { readonly type: "uri"; readonly template: IdentityTemplate }
  | { readonly type: "permanent-identifier"; readonly template: DeviceTemplate };

/** An identifier in its parts. */
export type Identity =
  | { readonly type: "uri"; readonly id: SpiffeId }
  | { readonly type: "permanent-identifier"; readonly id: PermanentIdentifier };

/** A SPIFFE ID or permanent identifier in its parts, undefined for what is neither. */
export function readIdentity(text: string): Identity | undefined {
  try {
    if (text.startsWith("spiffe://")) return { type: "uri", id: parseSpiffeId(text) };
    return { type: "permanent-identifier", id: parsePermanentIdentifier(text) };
  } catch (error) {
    if (error instanceof SpiffeIdError || error instanceof PermanentIdentifierError) return undefined;
    throw error;
  }
}

/** @throws {TemplateError} */
export function parseGrantedIdentity(type: GrantedIdentity["type"], text: string): GrantedIdentity {
  return type === "uri" ? { type, template: parseTemplate(text) } : { type, template: parseDeviceTemplate(text) };
}

/** The key of a grant that says it. */
export const identityKeyOf = ({ type }: GrantedIdentity): "spiffeId" | "permanentIdentifier" =>
  type === "uri" ? "spiffeId" : "permanentIdentifier";

/** Claims that it takes values from. */
export function identityClaims(granted: GrantedIdentity): ClaimReference[] {
  if (granted.type === "uri") return templateClaims(granted.template);
  return granted.template.claim === undefined ? [] : [granted.template.claim];
}

/** True when some claims would make it this identity. */
export function couldMake(granted: GrantedIdentity, identity: Identity): boolean {
  if (granted.type === "uri") return identity.type === "uri" && couldDerive(granted.template, identity.id);
  return identity.type === granted.type && couldDeriveDevice(granted.template, identity.id);
}

/** The identifier that these claims make, or why they make none. */
export function make(granted: GrantedIdentity, claims: Claims): { identifier: string } | { failed: string } {
  if (granted.type === "uri") {
    const derived = derive(granted.template, claims);
    return "failed" in derived ? derived : { identifier: derived.spiffeId };
  }
  try {
    return { identifier: deriveDevice(granted.template, claims) };
  } catch (error) {
    if (error instanceof TemplateError) return { failed: error.message };
    throw error;
  }
}
