/**
 * “Signing certificates MUST set the cA field to true, and leaf certificates MUST set the cA field to false.” There is an extension that
 * says so.
 */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const basicConstraintsPresent: CertificateLint = {
  name: "basicConstraintsPresent",
  about: "certificate",
  source: "X.509-SVID §4.1",
  holds: ({ byOid }) => byOid.has(oids.basicConstraints),
};
