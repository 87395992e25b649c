/** The SPIFFE bundle of the trust domain (SPIFFE Trust Domain and Bundle §4, X.509-SVID §6): a JWK Set with the root. */
import { X509Certificate } from "node:crypto";

/** How often consumers should come back; seconds. */
const refreshHintSeconds = 300;

/**
 * @param roots DER; each becomes a JWK with exactly one certificate in `x5c`
 * @param sequence grows whenever the content changes
 */
export function spiffeBundle(roots: readonly Buffer[], sequence: number): object {
  return {
    keys: roots.map((der) => ({
      ...new X509Certificate(der).publicKey.export({ format: "jwk" }),
      use: "x509-svid",
      x5c: [der.toString("base64")],
    })),
    spiffe_sequence: sequence,
    spiffe_refresh_hint: refreshHintSeconds,
  };
}
