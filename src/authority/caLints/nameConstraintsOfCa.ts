/**
 * RFC 5280 §4.2.1.10: "Conforming CAs MUST mark this extension as critical". "Conforming CAs MUST NOT issue certificates where name
 * constraints is an empty sequence." "For URIs, the constraint applies to the host part of the name. The constraint MUST be specified as a
 * fully qualified domain name and MAY specify a host or a domain." What is no domain name but a trust domain nevertheless (an address, an
 * underscore) makes verifiers refuse the CA altogether.
 */
import { isDeepStrictEqual } from "node:util";
import { canonicalDnsName } from "../../x509/names.ts";
import { readNameConstraints } from "../../x509/nameConstraints.ts";
import { oids } from "../../x509/oid.ts";
import { extensionIn, type CaLint } from "./caLint.ts";

export const nameConstraintsOfCa: CaLint = {
  name: "nameConstraintsOfCa",
  source: "RFC 5280 §4.2.1.10; X.509-SVID §4.2",
  holds: (certificate, { prepared: { template } }) => {
    const extension = extensionIn(certificate, oids.nameConstraints);
    if (extension === undefined) return template.nameConstraints === undefined;
    if (!extension.critical) return false;
    const read = readNameConstraints(extension.value);
    const { uri = [], dns = [], ip = [] } = template.nameConstraints ?? {};
    return (
      isDeepStrictEqual(read, { uri, dns, ip }) &&
      [...uri, ...dns].every(isDomain) &&
      ownTrustDomain(uri, template.trustDomain)
    );
  },
};

const isDomain = (host: string): boolean => {
  const name = host.replace(/^\./, "");
  return canonicalDnsName(name, { wildcard: false }) === name;
};

/** Constraints that leave the CA's own trust domain out would make its own leaves, and itself below a root, invalid. */
const ownTrustDomain = (uri: readonly string[], trustDomain: string | undefined): boolean =>
  trustDomain === undefined ||
  uri.length === 0 ||
  uri.some((host) => host === trustDomain || (host.startsWith(".") && trustDomain.endsWith(host)));
