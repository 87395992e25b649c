/**
 * “Because the subject alternative name is considered to be definitively bound to the public key, all parts of the subject alternative
 * name MUST be verified by the CA.” The names are those that were authorized, all of them and no others.
 */
import type { DecisionLint } from "./lint.ts";

/** In the order of the decision, which `prepare` keeps. */
const isSame = (written: readonly string[], authorized: readonly string[]): boolean =>
  written.length === authorized.length && written.every((name, at) => name === authorized[at]);

export const namesAreTheAuthorizedOnes: DecisionLint = {
  name: "namesAreTheAuthorizedOnes",
  about: "decision",
  source: "RFC 8555 §7.4; RFC 5280 §4.2.1.6",
  holds: ({ values: { subjectAltName: written } }, { authorized: { names } }) =>
    written === undefined ||
    (isSame(written.dns, names.dns) &&
      isSame(written.ip, names.ip) &&
      isSame(written.uri, names.uri) &&
      isSame(written.permanentIdentifiers, names.permanentIdentifiers)),
};
