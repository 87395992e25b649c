/**
 * RFC 5280 §6.1.3 (a)(2): "The certificate validity period includes the current time", of every certificate of the path: one that outlived
 * its issuer, or began before it, would say more than holds.
 */
import type { CaLint } from "./caLint.ts";

export const validityWithinIssuer: CaLint = {
  name: "validityWithinIssuer",
  source: "RFC 5280 §6.1.3 (a)(2)",
  holds: ({ notBefore, notAfter }, { issuer }) =>
    issuer === undefined || (notAfter <= issuer.notAfter && notBefore >= issuer.notBefore),
};
