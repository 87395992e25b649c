/** The issuer is active: one that is prepared or published is not known everywhere yet, and one that is retiring makes nothing new. */
import type { DecisionLint } from "./lint.ts";

export const issuerMayIssue: DecisionLint = {
  name: "issuerMayIssue",
  about: "decision",
  source: "Mayfly",
  holds: (_, { issuer }) => issuer.state === "active",
};
