/**
 * RFC 5280 §4.2.1.2: "To facilitate certification path construction, this extension MUST appear in all conforming CA certificates, that is,
 * all certificates including the basic constraints extension (Section 4.2.1.9) where the value of cA is TRUE." "Conforming CAs MUST mark
 * this extension as non-critical." The value is that of the CA's other certificates, or else no leaf fits both.
 */
import { keyIdentifier, readSubjectKeyIdentifier } from "../../x509/extensions.ts";
import { oids } from "../../x509/oid.ts";
import { extensionIn, type CaLint } from "./caLint.ts";

export const subjectKeyIdentifierOfCa: CaLint = {
  name: "subjectKeyIdentifierOfCa",
  source: "RFC 5280 §4.2.1.2",
  holds: (certificate, { prepared: { template } }) => {
    const extension = extensionIn(certificate, oids.subjectKeyIdentifier);
    if (extension === undefined || extension.critical) return false;
    const expected = template.subjectKeyIdentifier ?? keyIdentifier(certificate.spki);
    return readSubjectKeyIdentifier(extension.value).equals(expected);
  },
};
