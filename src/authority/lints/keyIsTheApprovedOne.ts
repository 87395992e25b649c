/** The certified key is, octet for octet, the one of the request, which is that of the evidence where there is some. */
import type { DecisionLint } from "./lint.ts";

export const keyIsTheApprovedOne: DecisionLint = {
  name: "keyIsTheApprovedOne",
  about: "decision",
  source: "RFC 8555 §7.4; workload-attest-01, rule 8",
  holds: ({ spki }, { publicKey }) => spki.equals(publicKey.spki),
};
