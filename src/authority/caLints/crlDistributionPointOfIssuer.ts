/**
 * RFC 5280 §4.2.1.13: "The extension SHOULD be non-critical", and ours is. A CA that includes it "MUST include at least one DistributionPoint
 * that points to a CRL that covers the certificate for all reasons": the one list of the root that signs, where we publish that, and else
 * none. What signs itself is revoked by nobody.
 */
import { readCRLDistributionPoints } from "../../x509/revocationExtensions.ts";
import { oids } from "../../x509/oid.ts";
import { isHttpUrl } from "../lints/names.ts";
import { extensionIn, type CaLint } from "./caLint.ts";

export const crlDistributionPointOfIssuer: CaLint = {
  name: "crlDistributionPointOfIssuer",
  source: "RFC 5280 §4.2.1.13",
  holds: (certificate, { prepared: { template }, issuer }) => {
    const { crlUrl } = template.issuer;
    const extension = extensionIn(certificate, oids.cRLDistributionPoints);
    if (extension === undefined) return crlUrl === undefined || issuer === undefined;
    const [url, ...more] = readCRLDistributionPoints(extension.value);
    return issuer !== undefined && !extension.critical && more.length === 0 && url === crlUrl && isHttpUrl(url ?? "");
  },
};
