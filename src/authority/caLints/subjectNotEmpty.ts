/**
 * RFC 5280 §4.1.2.6: "If the subject is a CA (e.g., the basic constraints extension, as discussed in Section 4.2.1.9, is present and the
 * value of cA is TRUE), then the subject field MUST be populated with a non-empty distinguished name matching the contents of the issuer
 * field (Section 4.1.2.4) in all certificates issued by the subject CA."
 */
import { encodeName } from "../../x509/name.ts";
import type { CaLint } from "./caLint.ts";

export const subjectNotEmpty: CaLint = {
  name: "subjectNotEmpty",
  source: "RFC 5280 §4.1.2.6",
  holds: ({ subject }) => !subject.equals(encodeName({})),
};
