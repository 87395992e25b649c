/** What several lints ask of names: whether a certificate is an SVID, and what its URIs are. */
import { parseSpiffeId, SpiffeIdError } from "../../x509/spiffeId.ts";
import type { CertificateReading } from "./certificateReading.ts";

/** Whether the certificate claims to be an X.509-SVID: by any URI in the scheme. */
export const isSvid = ({ values: { subjectAltName } }: CertificateReading): boolean =>
  subjectAltName?.uri.some((uri) => uri.startsWith("spiffe:")) ?? false;

/** Scheme and something behind it (RFC 3986 §3), in characters that a URI may have, with whole percent-encodings. */
const absolute = /^[a-z][a-z0-9+.-]*:(?:[a-z0-9\-._~:/?#[\]@!$&'()*+,;=]|%[0-9a-f]{2})+$/i;

/** True for a URI that is not relative. */
export const isAbsoluteUri = (uri: string): boolean => absolute.test(uri);

/** True for an absolute URL of http or https, with a host. */
export const isHttpUrl = (url: string): boolean => /^https?:\/\/[^/?#]/.test(url) && isAbsoluteUri(url);

/** True for the SPIFFE ID of a workload, to the letter. */
export function isWorkloadId(uri: string): boolean {
  try {
    return parseSpiffeId(uri).segments.length > 0;
  } catch (error) {
    if (error instanceof SpiffeIdError) return false;
    throw error;
  }
}
