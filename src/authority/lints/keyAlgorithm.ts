/** Keys are of elliptic curves, RSA or Ed25519: “No other algorithms or key sizes are permitted.” */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const keyAlgorithm: CertificateLint = {
  name: "keyAlgorithm",
  about: "certificate",
  source: "CA/B BR §6.1.5",
  holds: ({ key: { algorithm } }) =>
    algorithm === oids.ecPublicKey || algorithm === oids.rsaEncryption || algorithm === oids.ed25519,
};
