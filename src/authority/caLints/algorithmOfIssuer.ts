/**
 * RFC 5280 §4.1.1.2: "The signatureAlgorithm field contains the identifier for the cryptographic algorithm used by the CA to sign this
 * certificate." A key of ours signs by one algorithm.
 */
import type { CaLint } from "./caLint.ts";

export const algorithmOfIssuer: CaLint = {
  name: "algorithmOfIssuer",
  source: "RFC 5280 §4.1.1.2",
  holds: ({ signatureAlgorithm }, { prepared }) =>
    signatureAlgorithm === prepared.algorithm && signatureAlgorithm === prepared.template.issuer.algorithm,
};
