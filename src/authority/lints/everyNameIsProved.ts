/**
 * For every name the inventory will keep a proof: of the name itself, or of a domain above it where subdomains may be proved so. SPIFFE
 * IDs and devices are proved by evidence that a grant accepted.
 */
import { provesAll } from "../proofs.ts";
import type { DecisionLint } from "./lint.ts";

export const everyNameIsProved: DecisionLint = {
  name: "everyNameIsProved",
  about: "decision",
  source: "RFC 8555 §7.1.3; RFC 9444",
  holds: (_, { authorized }) => provesAll(authorized.evidence, authorized),
};
