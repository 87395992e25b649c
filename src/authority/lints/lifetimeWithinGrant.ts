/** A certificate lives no longer than the grant allows that gave the identity. */
import { lifetimeOf } from "./certificateReading.ts";
import type { DecisionLint } from "./lint.ts";

export const lifetimeWithinGrant: DecisionLint = {
  name: "lifetimeWithinGrant",
  about: "decision",
  source: "Mayfly",
  holds: (read, { authorized: { validity } }) => lifetimeOf(read) <= (validity.lifetimeMaxSeconds ?? Infinity),
};
