/**
 * A certificate with noRevAvail has nothing that points to a revocation list or to an OCSP responder: “If any of the above are violated
 * in a certificate, then the relying party MUST consider the certificate invalid.”
 */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const noRevAvailAlone: CertificateLint = {
  name: "noRevAvailAlone",
  about: "certificate",
  source: "RFC 9608 §3",
  holds: ({ byOid, values: { authorityInfoAccess } }) =>
    !byOid.has(oids.noRevAvail) ||
    !(byOid.has(oids.cRLDistributionPoints) || (authorityInfoAccess?.ocsp.length ?? 0) > 0),
};
