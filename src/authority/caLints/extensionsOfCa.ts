/**
 * RFC 5280 §4.2: "A certificate MUST NOT include more than one instance of a particular extension." Our own: a closed list. Extended key
 * usage is not on it, because "the processing of the Extended Key Usage extension in intermediate CA certificates varies widely"
 * (X.509-SVID §4.4).
 */
import { oids } from "../../x509/oid.ts";
import type { CaLint } from "./caLint.ts";

const known: readonly string[] = [
  oids.authorityKeyIdentifier,
  oids.subjectKeyIdentifier,
  oids.basicConstraints,
  oids.keyUsage,
  oids.subjectAltName,
  oids.nameConstraints,
  oids.cRLDistributionPoints,
];

export const extensionsOfCa: CaLint = {
  name: "extensionsOfCa",
  source: "RFC 5280 §4.2; X.509-SVID §4.4; our own: a closed list",
  holds: ({ extensions }) =>
    extensions.every(({ oid }) => known.includes(oid)) &&
    new Set(extensions.map(({ oid }) => oid)).size === extensions.length,
};
