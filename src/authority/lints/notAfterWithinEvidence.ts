/** A certificate does not outlive what the evidence for it allows. */
import type { DecisionLint } from "./lint.ts";

export const notAfterWithinEvidence: DecisionLint = {
  name: "notAfterWithinEvidence",
  about: "decision",
  source: "workload-attest-01, rule 6",
  holds: ({ notAfter }, { authorized: { validity } }) =>
    validity.notAfterCap === undefined || notAfter.date <= validity.notAfterCap,
};
