/** “The cA boolean indicates whether the certified public key may be used to verify certificate signatures.” That of a leaf may not. */
import type { CertificateLint } from "./lint.ts";

export const basicConstraintsOfLeaf: CertificateLint = {
  name: "basicConstraintsOfLeaf",
  about: "certificate",
  source: "RFC 5280 §4.2.1.9; RFC 9608 §3",
  holds: ({ values: { basicConstraints } }) => basicConstraints?.cA !== true,
};
