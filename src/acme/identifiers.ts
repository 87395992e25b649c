/** Identifiers of an order (RFC 8555 §7.1.4, RFC 8738, workload-attest-01, device-attest-01): one reader per type; nothing else compares names. */
import { canonicalDnsName, canonicalIp, NameError } from "../x509/names.ts";
import { parsePermanentIdentifier, PermanentIdentifierError } from "../x509/permanentIdentifier.ts";
import { parseSpiffeId, SpiffeIdError } from "../x509/spiffeId.ts";
import { problem, type Problem, type Subproblem } from "../problem/problem.ts";
import type { AcmeContext, IdentityPolicy } from "./context.ts";
import { isJsonObject, type JsonValue } from "../encoding/json.ts";
import type { Identifier } from "./ports.ts";

/** Octets of all names of an order together. */
const nameOctetsMax = 8192;

/** An identifier as it was ordered. */
export interface RequestedIdentifier extends Identifier {
  /** The client can prove this ancestor of a `dns` name instead (RFC 9444 §4.3); only where the directory allows it. */
  readonly ancestorDomain?: string;
}

/** True for what evidence proves and nothing else: never a weaker challenge (H-26). */
export const isAttested = (type: Identifier["type"]): boolean => type === "uri" || type === "permanent-identifier";

/** How many ancestors of a name are looked at. */
const ancestorsMax = 20;

/** The name itself and its ancestors, nearest first: whose authorization for names below would do (RFC 9444). */
export function ancestorsOf({ type, value }: Identifier): string[] {
  if (type !== "dns" || value.startsWith("*.")) return [];
  const labels = value.split(".");
  return labels.slice(0, ancestorsMax).map((_, index) => labels.slice(index).join("."));
}

/**
 * Reads the `identifiers` member of newOrder into canonical identifiers, in the client's order.
 * @throws {Problem} malformed · unsupportedIdentifier · rejectedIdentifier, with one subproblem each where several are bad
 */
export function readIdentifiers(
  value: JsonValue | undefined,
  { limits, options, policy }: Pick<AcmeContext, "limits" | "options" | "policy">,
): RequestedIdentifier[] {
  if (!Array.isArray(value) || value.length === 0)
    throw problem("malformed", "identifiers is not a list with at least one entry");
  const limit = limits.identifiersPerOrder;
  if (value.length > limit) throw problem("malformed", `an order may hold at most ${limit} identifiers`);
  const identifiers: RequestedIdentifier[] = [];
  const refusals: Subproblem[] = [];
  for (const entry of value) {
    const { type, value: name, ancestorDomain } = shapeOf(entry);
    const read = readIdentifier(type, name, policy);
    if ("code" in read) refusals.push({ ...read, identifier: { type: type.slice(0, 100), value: name.slice(0, 300) } });
    else if (!options.subdomainAuthorizations || ancestorDomain === undefined) identifiers.push(read);
    else identifiers.push({ ...read, ancestorDomain: readAncestor(ancestorDomain, read) });
  }
  if (refusals.length > 0) throw refused(refusals);
  requireDistinct(identifiers);
  const octets = identifiers.reduce((sum, identifier) => sum + Buffer.byteLength(identifier.value), 0);
  // So that the CSR of every order that is accepted stays below the limit of CSRs.
  if (octets > nameOctetsMax)
    throw problem("malformed", `an order's identifiers may have ${nameOctetsMax} octets together`);
  return identifiers;
}

function readAncestor(ancestorDomain: JsonValue, { type, value }: Identifier): string {
  if (type !== "dns" || value.startsWith("*."))
    throw problem("malformed", "ancestorDomain goes with a dns identifier that is no wildcard");
  const name = typeof ancestorDomain === "string" ? ancestorDomain.toLowerCase() : "";
  if (!value.endsWith(`.${name}`) || name === "")
    throw problem("malformed", "ancestorDomain is not an ancestor of the identifier");
  return name; // The end of a canonical name, from a dot on, is canonical.
}

function shapeOf(entry: JsonValue): { type: string; value: string; ancestorDomain: JsonValue | undefined } {
  if (!isJsonObject(entry)) throw problem("malformed", "an identifier is not an object");
  const { type, value, ancestorDomain } = entry;
  if (typeof type !== "string" || typeof value !== "string")
    throw problem("malformed", "an identifier needs a type and a value");
  if (value.length > 4096) throw problem("malformed", "an identifier is too long");
  return { type, value, ancestorDomain };
}

function readIdentifier(type: string, value: string, policy: IdentityPolicy): Identifier | Subproblem {
  try {
    switch (type) {
      case "dns":
        return { type, value: canonicalDnsName(value, { wildcard: true }) };
      case "ip":
        return { type, value: canonicalIp(value) };
      case "uri":
        return readSpiffeIdentifier(value, policy);
      case "permanent-identifier":
        return readDeviceIdentifier(value, policy);
      default:
        return { code: "unsupportedIdentifier", detail: "identifier types are dns, ip, uri and permanent-identifier" };
    }
  } catch (error) {
    if (error instanceof NameError || error instanceof SpiffeIdError || error instanceof PermanentIdentifierError)
      return { code: "malformed", detail: error.message };
    throw error;
  }
}

function readSpiffeIdentifier(value: string, policy: IdentityPolicy): Identifier | Subproblem {
  if (/^[a-z][a-z0-9+.-]*:/i.test(value) && !value.startsWith("spiffe://") && !/^spiffe:/i.test(value)) {
    return { code: "rejectedIdentifier", detail: "the only uri scheme is spiffe" };
  }
  const { trustDomain } = parseSpiffeId(value);
  if (trustDomain !== policy.trustDomain) {
    return { code: "rejectedIdentifier", detail: "this server is not an authority for that trust domain" };
  }
  if (policy.candidates(value).accept.length === 0) {
    return { code: "rejectedIdentifier", detail: "no evidence that this server accepts could prove that SPIFFE ID" };
  }
  return { type: "uri", value };
}

/** draft-ietf-acme-device-attest-09 §3.1. */
function readDeviceIdentifier(value: string, policy: IdentityPolicy): Identifier | Subproblem {
  const { device } = parsePermanentIdentifier(value);
  // The draft's grammar has them; no manufacturer does, and neither logs nor databases bear them.
  if (/\p{Cc}/u.test(device)) {
    return { code: "rejectedIdentifier", detail: "this server certifies no device identifier with control characters" };
  }
  if (policy.candidates(value).accept.length === 0) {
    return { code: "rejectedIdentifier", detail: "no evidence that this server accepts could prove that device" };
  }
  return { type: "permanent-identifier", value };
}

/** RFC 8555 §6.7.1: one refusal speaks for itself, several become subproblems; the identifier appears only there. */
function refused(refusals: readonly Subproblem[]): Problem {
  const [first] = refusals;
  const same = first !== undefined && refusals.every(({ code }) => code === first.code);
  const code = same ? first.code : "malformed";
  const detail =
    refusals.length === 1 && first !== undefined ? first.detail : `${refusals.length} identifiers are refused`;
  return problem(code, detail, { subproblems: refusals });
}

function requireDistinct(identifiers: readonly Identifier[]): void {
  const seen = new Set(identifiers.map(({ type, value }) => `${type} ${value}`));
  if (seen.size !== identifiers.length) throw problem("malformed", "an identifier appears twice");
  // X.509-SVID §2; and a certificate is for one device.
  for (const attested of ["uri", "permanent-identifier"]) {
    if (identifiers.filter(({ type }) => type === attested).length > 1)
      throw problem("malformed", `an order may hold one ${attested} identifier`);
  }
  // An order has one identity, which one grant gives: that it stands and is in no quarantine is looked at for one.
  if (identifiers.some(({ type }) => type === "uri") && identifiers.some(({ type }) => type === "permanent-identifier"))
    throw problem("malformed", "an order is for a SPIFFE ID or for a device, not for both");
}
