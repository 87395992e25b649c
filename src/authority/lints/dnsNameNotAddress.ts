/**
 * “When the subjectAltName extension contains an iPAddress, the address MUST be stored in the octet string in "network byte order"”. None
 * is written as a DNS name, in any form that programs take for one.
 */
import type { CertificateLint } from "./lint.ts";

/** WHATWG URL, "ends in a number": 127.1 and 0x7f.1 reach 127.0.0.1 just as the dotted quad does. */
const endsInNumber = /(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)$/i;

export const dnsNameNotAddress: CertificateLint = {
  name: "dnsNameNotAddress",
  about: "certificate",
  source: "RFC 5280 §4.2.1.6",
  holds: ({ values: { subjectAltName } }) =>
    subjectAltName === undefined || !subjectAltName.dns.some((name) => endsInNumber.test(name)),
};
