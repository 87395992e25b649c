/** The key has the uses that the profile gives to keys of its kind, and none that it does not name. */
import { keyUsesOf } from "../keyUses.ts";
import type { DecisionLint } from "./lint.ts";

export const keyUsageOfProfile: DecisionLint = {
  name: "keyUsageOfProfile",
  about: "decision",
  source: "Mayfly",
  holds: ({ values: { keyUsage } }, { authorized: { profile }, publicKey }) =>
    keyUsage === undefined ||
    (keyUsage.every((use) => profile.keyUsage.some((one) => one === use)) &&
      keyUsesOf(profile.keyUsage, publicKey.kind).every((use) => keyUsage.includes(use))),
};
