/**
 * “If subject naming information is present only in the subjectAltName extension (e.g., a key bound only to an email address or URI),
 * then the subject name MUST be an empty sequence and the subjectAltName extension MUST be critical.” The subject is empty where the
 * profile says so, and else one common name and nothing more.
 */
import { commonNameOf, encodeName } from "../../x509/name.ts";
import type { DecisionLint } from "./lint.ts";

export const subjectOfProfile: DecisionLint = {
  name: "subjectOfProfile",
  about: "decision",
  source: "RFC 5280 §4.1.2.6",
  holds: ({ subject }, { authorized: { profile } }) => {
    if (profile.subject === "empty") return subject.length === 2;
    const commonName = commonNameOf(subject);
    // One that is too long is for commonNameLength, and cannot be written here.
    return commonName !== undefined && (commonName.length > 64 || encodeName({ commonName }).equals(subject));
  },
};
