/**
 * RFC 5280 §4.2.1.3: "Conforming CAs MUST include this extension in certificates that contain public keys that are used to validate digital
 * signatures on other public key certificates or CRLs. When present, conforming CAs SHOULD mark this extension as critical." X.509-SVID
 * §4.3: "The key usage extension MUST be set on all SVIDs, and MUST be marked critical. SVID signing certificates MUST set `keyCertSign`.
 * They MAY set `cRLSign`." Appendix A has digitalSignature, keyEncipherment and keyAgreement for leaves only; a CA of ours has no other bit
 * either.
 */
import { readKeyUsage } from "../../x509/extensions.ts";
import { oids } from "../../x509/oid.ts";
import { extensionIn, type CaLint } from "./caLint.ts";

export const keyUsageOfCa: CaLint = {
  name: "keyUsageOfCa",
  source: "RFC 5280 §4.2.1.3; X.509-SVID §4.3, appendix A",
  holds: (certificate) => {
    const extension = extensionIn(certificate, oids.keyUsage);
    if (extension === undefined || !extension.critical) return false;
    const usages = readKeyUsage(extension.value);
    return usages.includes("keyCertSign") && usages.every((usage) => usage === "keyCertSign" || usage === "cRLSign");
  },
};
