/**
 * RFC 5280 §6.1.4 (k): "If certificate i is a version 3 certificate, verify that the basicConstraints extension is present and that cA is
 * set to TRUE." (n): "If a key usage extension is present, verify that the keyCertSign bit is set." Who signs without a certificate of its
 * own signs itself: "Self-signed certificates are self-issued certificates where the digital signature may be verified by the public key
 * bound into the certificate." (§3.2)
 */
import { readBasicConstraints, readKeyUsage } from "../../x509/extensions.ts";
import { oids } from "../../x509/oid.ts";
import { extensionIn, type CaLint } from "./caLint.ts";

export const issuerIsACa: CaLint = {
  name: "issuerIsACa",
  source: "RFC 5280 §6.1.4 (k), (n); §3.2",
  holds: ({ spki }, { prepared: { template }, issuer }) => {
    if (issuer === undefined) return spki.equals(template.issuer.spki);
    const constraints = extensionIn(issuer, oids.basicConstraints)?.value;
    const usage = extensionIn(issuer, oids.keyUsage)?.value;
    return (
      issuer.spki.equals(template.issuer.spki) &&
      constraints !== undefined &&
      readBasicConstraints(constraints, { lenient: true }).cA &&
      (usage === undefined || readKeyUsage(usage, { lenient: true }).includes("keyCertSign"))
    );
  },
};
