import { keyUsesOf } from "../keyUses.ts";
import type { DecisionLint } from "./lint.ts";

export const keyUsageOfProfile: DecisionLint = {
  name: "keyUsageOfProfile",
  about: "decision",
  source: "Mayfly",
  says: "The key has the uses that the profile gives to keys of its kind, and no others.",
  holds: ({ values: { keyUsage } }, { authorized: { profile }, publicKey }) =>
    keyUsage === undefined || keyUsage.join() === keyUsesOf(profile.keyUsage, publicKey.kind).join(),
};
