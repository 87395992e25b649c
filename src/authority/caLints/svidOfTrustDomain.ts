/**
 * X.509-SVID §3.2: "A signing certificate SHOULD itself be an SVID. If present, the SPIFFE ID of a signing certificate MUST NOT have a path
 * component, and SHOULD reside in the trust domain of any leaf SVIDs it issues." §2: "An X.509 SVID MUST contain exactly one URI SAN".
 */
import { oids } from "../../x509/oid.ts";
import { isTrustDomain } from "../../x509/spiffeId.ts";
import { extensionIn, type CaLint } from "./caLint.ts";

export const svidOfTrustDomain: CaLint = {
  name: "svidOfTrustDomain",
  source: "X.509-SVID §3.2, §2",
  holds: (certificate, { prepared: { template } }) => {
    const { trustDomain } = template;
    if (trustDomain === undefined) return extensionIn(certificate, oids.subjectAltName) === undefined;
    const { uri, dns, ip, permanentIdentifiers, other } = certificate.names;
    const others = dns.length + ip.length + permanentIdentifiers.length + other.length;
    return isTrustDomain(trustDomain) && uri.length === 1 && uri[0] === `spiffe://${trustDomain}` && others === 0;
  },
};
