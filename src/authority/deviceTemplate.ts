/**
 * Templates of permanent identifiers over verified claims: `{serial}`, `{serial}/1.3.6.1.4.1.32473.7`, or one device as it is called. Pure.
 *
 * A claim is the whole of a device's name and is taken to the octet: nothing is joined, lower-cased or hashed.
 */
import { isClaimReference, readClaim, type ClaimReference } from "../attestation/claimReference.ts";
import type { Claims } from "../attestation/evidence.ts";
import {
  parsePermanentIdentifier,
  PermanentIdentifierError,
  permanentIdentifierText,
  type PermanentIdentifier,
} from "../x509/permanentIdentifier.ts";
import { TemplateError } from "./grantTemplate.ts";

export interface DeviceTemplate {
  /** What names the device; undefined where `device` does. */
  readonly claim: ClaimReference | undefined;
  readonly device: string;
  /** Dotted OID of who assigns the names. */
  readonly assigner: string | undefined;
}

const placeholder = /^\{(?<claim>[^{}]*)\}(?<rest>\/[^{}]*)?$/;

/**
 * Takes a template apart.
 * @throws {TemplateError}
 */
export function parseDeviceTemplate(text: string): DeviceTemplate {
  const { claim, rest = "" } = placeholder.exec(text)?.groups ?? {};
  if (claim === undefined && /[{}]/.test(text))
    throw new TemplateError(
      "a permanent identifier is one {claim}, optionally with a slash and an OID, or a fixed text",
    );
  if (claim !== undefined && !isClaimReference(claim))
    throw new TemplateError(`the placeholder {${claim}} does not name a claim`);
  const { device, assigner } = parsed(claim === undefined ? text : `x${rest}`);
  return { claim, device: claim === undefined ? device : "", assigner };
}

/** True when some claims would make the template this permanent identifier. */
export function couldDeriveDevice(template: DeviceTemplate, { device, assigner }: PermanentIdentifier): boolean {
  return assigner === template.assigner && (template.claim !== undefined || device === template.device);
}

/**
 * The permanent identifier that these claims make.
 * @throws {TemplateError} saying why they make none
 */
export function deriveDevice({ claim, device, assigner }: DeviceTemplate, claims: Claims): string {
  const name = claim === undefined ? device : deviceOf(claim, claims);
  return permanentIdentifierText({ device: name, assigner });
}

function deviceOf(claim: ClaimReference, claims: Claims): string {
  const found = readClaim(claims, claim);
  if (found === undefined) throw new TemplateError(`claim ${claim} is absent`);
  if (typeof found !== "string") throw new TemplateError(`claim ${claim} is not a string`);
  // A slash would make what follows it an assigner.
  if (found.includes("/")) throw new TemplateError(`claim ${claim} has a slash`);
  return parsed(found).device;
}

function parsed(text: string) {
  try {
    return parsePermanentIdentifier(text);
  } catch (error) {
    if (error instanceof PermanentIdentifierError) throw new TemplateError(error.message);
    throw error;
  }
}
