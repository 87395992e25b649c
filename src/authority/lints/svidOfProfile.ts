/** A certificate has a SPIFFE ID where its profile is one for SVIDs, and none elsewhere. */
import type { DecisionLint } from "./lint.ts";

export const svidOfProfile: DecisionLint = {
  name: "svidOfProfile",
  about: "decision",
  source: "X.509-SVID §2",
  holds: ({ values: { subjectAltName } }, { authorized: { profile } }) =>
    subjectAltName === undefined || subjectAltName.uri.length > 0 === profile.identifiers.includes("uri"),
};
