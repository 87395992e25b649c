/** The issuer is of the line that the profile names. */
import type { DecisionLint } from "./lint.ts";

export const issuerOfProfile: DecisionLint = {
  name: "issuerOfProfile",
  about: "decision",
  source: "Mayfly",
  holds: (_, { issuer, authorized: { profile } }) => issuer.name === profile.issuer,
};
