/** A certificate lives at least as long as its profile says. */
import { lifetimeOf } from "./certificateReading.ts";
import type { DecisionLint } from "./lint.ts";

export const lifetimeAtLeast: DecisionLint = {
  name: "lifetimeAtLeast",
  about: "decision",
  source: "Mayfly",
  holds: (read, { authorized: { profile } }) => {
    const lifetime = lifetimeOf(read);
    return lifetime >= profile.lifetimeMinSeconds || lifetime < 1; // The latter is for validityOrder.
  },
};
