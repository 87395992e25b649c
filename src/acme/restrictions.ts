/** What an account that was bound to an external one may order (RFC 8555 §7.3.4 leaves it to the CA). */
import { ipToBytes } from "../x509/names.ts";
import type { Profile } from "../authority/profile.ts";
import { problem } from "../problem/problem.ts";
import { named } from "./context.ts";
import type { AllowedIdentifiers, Restrictions } from "./externalAccountPorts.ts";
import type { Identifier } from "./ports.ts";

/**
 * Refuses identifiers that the account may not have.
 * @throws {Problem} rejectedIdentifier, with one subproblem each where several are refused
 */
export function requireAllowed(restrictions: Restrictions | undefined, identifiers: readonly Identifier[]): void {
  const allowed = restrictions?.identifiers ?? null;
  if (allowed === null) return;
  const refused = identifiers.filter((identifier) => !isAllowed(allowed, identifier));
  const [first] = refused;
  if (first === undefined) return;
  const detail = (identifier: Identifier): string =>
    `the account's external binding does not allow ${named(identifier).slice(0, 300)}`;
  throw problem(
    "rejectedIdentifier",
    refused.length === 1 ? detail(first) : `${refused.length} identifiers are not allowed`,
    {
      subproblems: refused.map((identifier) => ({
        code: "rejectedIdentifier",
        detail: detail(identifier),
        identifier,
      })),
    },
  );
}

/** The profiles of a directory that the account may use. */
export function allowedProfiles(
  restrictions: Restrictions | undefined,
  profiles: ReadonlyMap<string, Profile>,
): ReadonlyMap<string, Profile> {
  const allowed = restrictions?.profiles ?? null;
  return allowed === null ? profiles : new Map([...profiles].filter(([name]) => allowed.includes(name)));
}

/** True when an entry of the identifier's type covers it; a wildcard is as its base name. */
function isAllowed(allowed: AllowedIdentifiers, { type, value }: Identifier): boolean {
  switch (type) {
    case "dns": {
      const name = value.startsWith("*.") ? value.slice(2) : value;
      return (allowed.dns ?? []).some((domain) => name === domain || name.endsWith(`.${domain}`));
    }
    case "ip": {
      const address = ipToBytes(value);
      return (allowed.ip ?? []).some((range) => isWithin(address, range));
    }
    case "uri":
      return (allowed.spiffe ?? []).some((prefix) => value === prefix || value.startsWith(`${prefix}/`));
    case "permanent-identifier":
      return (allowed.permanentIdentifiers ?? []).includes(value);
  }
}

function isWithin(address: Buffer, range: string): boolean {
  const [first = "", length] = range.split("/");
  const octets = ipToBytes(first);
  if (octets.length !== address.length) return false;
  const bits = length === undefined ? octets.length * 8 : Number(length);
  const whole = Math.floor(bits / 8);
  if (!octets.subarray(0, whole).equals(address.subarray(0, whole))) return false;
  const rest = 8 - (bits % 8);
  return rest === 8 || (octets[whole] ?? 0) >> rest === (address[whole] ?? 0) >> rest;
}
