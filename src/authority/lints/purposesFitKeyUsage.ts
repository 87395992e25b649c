/**
 * “If a certificate contains both a key usage extension and an extended key usage extension, then both extensions MUST be processed
 * independently and the certificate MUST only be used for a purpose consistent with both extensions.” Every purpose has a use that is
 * consistent with it.
 */
import type { KeyPurpose } from "../../x509/extensions.ts";
import { usesOfPurpose } from "../keyUses.ts";
import type { CertificateLint } from "./lint.ts";

export const purposesFitKeyUsage: CertificateLint = {
  name: "purposesFitKeyUsage",
  about: "certificate",
  source: "RFC 5280 §4.2.1.12",
  holds: ({ values: { keyUsage, extendedKeyUsage = [] } }) =>
    keyUsage === undefined ||
    extendedKeyUsage.every((purpose) => {
      const uses: readonly string[] | undefined = usesOfPurpose[purpose as KeyPurpose];
      return uses === undefined || keyUsage.some((use) => uses.includes(use));
    }),
};
