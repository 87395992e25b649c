/**
 * Keys are of elliptic curves, RSA or Ed25519. Of these, the Baseline Requirements have RSA and three curves: “No other algorithms or key
 * sizes are permitted.” Private certificates may have Ed25519 too, as RFC 8410 identifies it.
 */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const keyAlgorithm: CertificateLint = {
  name: "keyAlgorithm",
  about: "certificate",
  source: "CA/B BR §6.1.5; RFC 8410 §3",
  holds: ({ key: { algorithm } }) =>
    algorithm === oids.ecPublicKey || algorithm === oids.rsaEncryption || algorithm === oids.ed25519,
};
