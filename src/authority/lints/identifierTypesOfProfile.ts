/** The names are of types that the profile has, and of one device at most. */
import type { DecisionLint } from "./lint.ts";

export const identifierTypesOfProfile: DecisionLint = {
  name: "identifierTypesOfProfile",
  about: "decision",
  source: "Mayfly",
  holds: ({ values: { subjectAltName } }, { authorized: { profile } }) => {
    if (subjectAltName === undefined) return true;
    const { dns, ip, permanentIdentifiers: devices } = subjectAltName;
    const has = (type: (typeof profile.identifiers)[number], names: readonly string[]): boolean =>
      names.length === 0 || profile.identifiers.includes(type);
    // URIs are for svidOfProfile.
    return has("dns", dns) && has("ip", ip) && has("permanent-identifier", devices) && devices.length <= 1;
  },
};
