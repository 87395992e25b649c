/**
 * “In an end entity certificate, these policy information terms indicate the policy under which the certificate has been issued and the
 * purposes for which the certificate may be used.” They are those of the profile.
 */
import { oids } from "../../x509/oid.ts";
import type { DecisionLint } from "./lint.ts";

export const policiesOfProfile: DecisionLint = {
  name: "policiesOfProfile",
  about: "decision",
  source: "RFC 5280 §4.2.1.4",
  holds: ({ values: { certificatePolicies }, byOid }, { authorized: { profile } }) =>
    certificatePolicies === undefined
      ? byOid.has(oids.certificatePolicies) || profile.certificatePolicies.length === 0
      : certificatePolicies.join() === profile.certificatePolicies.join(),
};
