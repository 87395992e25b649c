/**
 * RFC 5280 §4.1.2.4: "The issuer field identifies the entity that has signed and issued the certificate. The issuer field MUST contain a
 * non-empty distinguished name (DN)." §6.1.3 (a)(4): "The certificate issuer name is the working_issuer_name." Octet for octet, because
 * not every verifier compares names as §7.1 says.
 */
import { encodeName } from "../../x509/name.ts";
import type { CaLint } from "./caLint.ts";

export const issuerNamesItsSubject: CaLint = {
  name: "issuerNamesItsSubject",
  source: "RFC 5280 §4.1.2.4, §6.1.3",
  holds: (certificate, { issuer }) =>
    !certificate.issuer.equals(encodeName({})) && certificate.issuer.equals((issuer ?? certificate).subject),
};
