/** notBefore lies no further in the past than the profile's allowance for slow clocks. */
import type { DecisionLint } from "./lint.ts";

export const notBeforeNotPast: DecisionLint = {
  name: "notBeforeNotPast",
  about: "decision",
  source: "Mayfly",
  holds: ({ notBefore }, { preparedAt, authorized: { profile } }) =>
    // The present second belongs to the allowance.
    notBefore.date.getTime() > preparedAt.getTime() - 1000 * (profile.backdateSeconds + 1),
};
