/** The purposes are those of the profile, and there is no extension where it has none. */
import { oids } from "../../x509/oid.ts";
import type { DecisionLint } from "./lint.ts";

export const extendedKeyUsageOfProfile: DecisionLint = {
  name: "extendedKeyUsageOfProfile",
  about: "decision",
  source: "Mayfly",
  holds: ({ values: { extendedKeyUsage }, byOid }, { authorized: { profile } }) =>
    extendedKeyUsage === undefined
      ? byOid.has(oids.extendedKeyUsage) || profile.extendedKeyUsage.length === 0
      : extendedKeyUsage.join() === profile.extendedKeyUsage.join(),
};
