import { lifetimeOf } from "./certificateReading.ts";
import type { DecisionLint } from "./lint.ts";

export const lifetimeWithinGrant: DecisionLint = {
  name: "lifetimeWithinGrant",
  about: "decision",
  source: "Mayfly",
  says: "A certificate lives no longer than the grant allows that gave the identity.",
  holds: (read, { authorized: { validity } }) => lifetimeOf(read) <= (validity.lifetimeMaxSeconds ?? Infinity),
};
