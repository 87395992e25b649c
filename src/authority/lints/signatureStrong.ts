/** The signature is of a closed list of algorithms, none of them with MD5 or SHA-1. */
import { signatureAlgorithmOf } from "../../x509/signatureAlgorithm.ts";
import type { CertificateLint } from "./lint.ts";

export const signatureStrong: CertificateLint = {
  name: "signatureStrong",
  about: "certificate",
  source: "CA/B BR §7.1.3.2",
  holds: ({ signature }) => signatureAlgorithmOf(signature) !== undefined,
};
