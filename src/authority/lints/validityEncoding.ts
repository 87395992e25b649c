/**
 * “CAs conforming to this profile MUST always encode certificate validity dates through the year 2049 as UTCTime; certificate validity
 * dates in 2050 or later MUST be encoded as GeneralizedTime.”
 */
import type { WrittenTime } from "../../x509/tbsReading.ts";
import type { CertificateLint } from "./lint.ts";

const isEncoded = ({ date, generalized }: WrittenTime): boolean => generalized === date.getUTCFullYear() >= 2050;

export const validityEncoding: CertificateLint = {
  name: "validityEncoding",
  about: "certificate",
  source: "RFC 5280 §4.1.2.5",
  holds: ({ notBefore, notAfter }) => isEncoded(notBefore) && isEncoded(notAfter),
};
