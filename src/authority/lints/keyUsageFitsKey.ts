/**
 * A key has no use that its algorithm cannot have: no encipherment with an elliptic-curve key, no agreement with an RSA key, neither
 * with an Ed25519 key.
 */
import { oids } from "../../x509/oid.ts";
import type { CertificateLint } from "./lint.ts";

export const keyUsageFitsKey: CertificateLint = {
  name: "keyUsageFitsKey",
  about: "certificate",
  source: "RFC 3279 §2.3.1; RFC 8813 §3; RFC 9295 §3",
  holds: ({ values: { keyUsage }, key: { algorithm } }) => {
    if (keyUsage === undefined) return true;
    const agrees = keyUsage.includes("keyAgreement");
    if (algorithm === oids.rsaEncryption) return !agrees;
    const enciphers = keyUsage.includes("keyEncipherment") || keyUsage.includes("dataEncipherment");
    return !enciphers && !(agrees && algorithm === oids.ed25519);
  },
};
