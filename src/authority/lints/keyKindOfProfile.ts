/** The key is of a kind that the profile takes. */
import type { DecisionLint } from "./lint.ts";

export const keyKindOfProfile: DecisionLint = {
  name: "keyKindOfProfile",
  about: "decision",
  source: "Mayfly",
  holds: (_, { publicKey, authorized: { profile } }) => profile.keyKinds.includes(publicKey.kind),
};
