/**
 * “Conforming CAs MUST include this extension in certificates for which no revocation information will be published.” A lifetime up to
 * the profile's threshold has noRevAvail; a longer one points where the profile says.
 */
import { oids } from "../../x509/oid.ts";
import { lifetimeOf } from "./certificateReading.ts";
import type { DecisionLint } from "./lint.ts";

export const revocationOfProfile: DecisionLint = {
  name: "revocationOfProfile",
  about: "decision",
  source: "RFC 9608 §2; Mayfly",
  holds: (read, { authorized: { profile } }) => {
    const { shortLivedMaxSeconds, crl, ocsp } = profile.revocation;
    const isShort = lifetimeOf(read) <= shortLivedMaxSeconds;
    if (read.byOid.has(oids.noRevAvail) !== isShort) return false;
    if (isShort) return true; // That it points nowhere is for noRevAvailAlone.
    return (
      read.byOid.has(oids.cRLDistributionPoints) === crl &&
      (read.values.authorityInfoAccess?.ocsp.length ?? 0) > 0 === ocsp
    );
  },
};
