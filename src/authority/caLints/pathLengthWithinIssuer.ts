/**
 * RFC 5280 §4.2.1.9: the pathLenConstraint "gives the maximum number of non-self-issued intermediate certificates that may follow this
 * certificate in a valid certification path." A CA below one that allows none is no CA; a self-issued certificate does not count (§6.1.4 (l)).
 */
import { readBasicConstraints } from "../../x509/extensions.ts";
import { oids } from "../../x509/oid.ts";
import { extensionIn, type CaLint } from "./caLint.ts";

export const pathLengthWithinIssuer: CaLint = {
  name: "pathLengthWithinIssuer",
  source: "RFC 5280 §4.2.1.9, §6.1.4 (l)",
  holds: (certificate, { issuer }) => {
    const above = issuer === undefined ? undefined : extensionIn(issuer, oids.basicConstraints)?.value;
    if (above === undefined) return true;
    const most = readBasicConstraints(above, { lenient: true }).pathLenConstraint;
    if (most === undefined) return true;
    const own = extensionIn(certificate, oids.basicConstraints)?.value;
    const { pathLenConstraint } = own === undefined ? {} : readBasicConstraints(own);
    const left = certificate.subject.equals(certificate.issuer) ? most : most - 1;
    // A path length that the issuer's cuts short anyway would promise what does not hold.
    return left >= 0 && pathLenConstraint !== undefined && pathLenConstraint <= left;
  },
};
