/** The lints of CA certificates, one file each. */
import type { CaLint } from "./caLint.ts";
import { algorithmOfIssuer } from "./algorithmOfIssuer.ts";
import { authorityKeyIdentifierOfCa } from "./authorityKeyIdentifierOfCa.ts";
import { basicConstraintsOfCa } from "./basicConstraintsOfCa.ts";
import { certificateIsTheTemplate } from "./certificateIsTheTemplate.ts";
import { crlDistributionPointOfIssuer } from "./crlDistributionPointOfIssuer.ts";
import { extensionsOfCa } from "./extensionsOfCa.ts";
import { issuerIsACa } from "./issuerIsACa.ts";
import { issuerNamesItsSubject } from "./issuerNamesItsSubject.ts";
import { keyMayIssue } from "./keyMayIssue.ts";
import { keyUsageOfCa } from "./keyUsageOfCa.ts";
import { nameConstraintsOfCa } from "./nameConstraintsOfCa.ts";
import { pathLengthWithinIssuer } from "./pathLengthWithinIssuer.ts";
import { serialEntropy } from "./serialEntropy.ts";
import { subjectKeyIdentifierOfCa } from "./subjectKeyIdentifierOfCa.ts";
import { subjectNotEmpty } from "./subjectNotEmpty.ts";
import { svidOfTrustDomain } from "./svidOfTrustDomain.ts";
import { validity } from "./validity.ts";
import { validityWithinIssuer } from "./validityWithinIssuer.ts";

/** Every rule that a CA certificate must meet before a key signs it. */
export const caLints: readonly CaLint[] = [
  algorithmOfIssuer,
  authorityKeyIdentifierOfCa,
  basicConstraintsOfCa,
  certificateIsTheTemplate,
  crlDistributionPointOfIssuer,
  extensionsOfCa,
  issuerIsACa,
  issuerNamesItsSubject,
  keyMayIssue,
  keyUsageOfCa,
  nameConstraintsOfCa,
  pathLengthWithinIssuer,
  serialEntropy,
  subjectKeyIdentifierOfCa,
  subjectNotEmpty,
  svidOfTrustDomain,
  validity,
  validityWithinIssuer,
];
