/**
 * A CA that includes the extension “MUST include at least one DistributionPoint that points to a CRL that covers the certificate for all
 * reasons”: the one list of the issuer that this serial number belongs into, and no other.
 */
import type { CertificateLint } from "./lint.ts";

export const crlDistributionPointOfSerial: CertificateLint = {
  name: "crlDistributionPointOfSerial",
  about: "certificate",
  source: "RFC 5280 §4.2.1.13",
  holds: ({ serialNumber, values: { crlDistributionPoints: points } }, issuer) =>
    points === undefined || (points.length === 1 && points[0] === issuer.crlUrl(serialNumber)),
};
