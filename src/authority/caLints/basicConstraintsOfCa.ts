/**
 * RFC 5280 §4.2.1.9: "Conforming CAs MUST include this extension in all CA certificates that contain public keys used to validate digital
 * signatures on certificates and MUST mark the extension as critical in such certificates." X.509-SVID §4.1: "Signing certificates MUST
 * set the `cA` field to `true`".
 */
import { readBasicConstraints } from "../../x509/extensions.ts";
import { oids } from "../../x509/oid.ts";
import { extensionIn, type CaLint } from "./caLint.ts";

export const basicConstraintsOfCa: CaLint = {
  name: "basicConstraintsOfCa",
  source: "RFC 5280 §4.2.1.9; X.509-SVID §4.1",
  holds: (certificate, { prepared: { template } }) => {
    const extension = extensionIn(certificate, oids.basicConstraints);
    if (extension === undefined || !extension.critical) return false;
    const { cA, pathLenConstraint } = readBasicConstraints(extension.value);
    return cA && pathLenConstraint === template.pathLength;
  },
};
