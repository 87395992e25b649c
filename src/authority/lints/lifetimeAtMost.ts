/** A certificate lives no longer than its profile allows. */
import { lifetimeOf } from "./certificateReading.ts";
import type { DecisionLint } from "./lint.ts";

export const lifetimeAtMost: DecisionLint = {
  name: "lifetimeAtMost",
  about: "decision",
  source: "Mayfly",
  holds: (read, { authorized: { profile } }) => lifetimeOf(read) <= profile.lifetimeMaxSeconds,
};
