/**
 * Lints of OCSP responses: the prepared bytes, read back, against the rules they must meet. Pure. Only this file makes a
 * `LintedOcspResponse`, and no other response can be signed.
 */
import { hash as digest } from "node:crypto";

import { contentOfPublicKey } from "../../x509/extensions.ts";
import { readResponseData, type ResponseData, type SingleResponse } from "../../x509/ocspResponse.ts";
import { LintFailed } from "../lint.ts";
import { certIdOf, type PreparedResponse } from "./prepareResponse.ts";

declare const linted: unique symbol;

/** Made by `lintResponse` alone; the brand cannot be written elsewhere. */
export type LintedOcspResponse = PreparedResponse & { readonly [linted]: true };

interface Lint {
  readonly name: string;
  readonly source: string;
  /** True when the rule is met. `single` is the one thing that is said. */
  readonly holds: (data: ResponseData, single: SingleResponse, prepared: PreparedResponse) => boolean;
}

const lints: readonly Lint[] = [
  {
    name: "ocspOneCertificate",
    source: "RFC 5019 §2.2.1: only the one that was asked for",
    holds: ({ responses }) => responses.length === 1,
  },
  {
    name: "ocspResponderIsIssuer",
    source: "RFC 6960 §4.2.2.2: the CA who issued the certificate signs, and is named by its key",
    holds: ({ responderId }, _, { issuer }) =>
      "byKey" in responderId && responderId.byKey.equals(digest("sha1", contentOfPublicKey(issuer.key.spki), "buffer")),
  },
  {
    name: "ocspCertIdIsOurs",
    source: "RFC 6960 §4.1.1: hashes of the issuer's name and key, and the serial number",
    holds: (_, { certId }, { issuer, serial, hash }) => {
      const expected = certIdOf(issuer, hash, serial);
      return (
        certId.hash === expected.hash &&
        certId.issuerNameHash.equals(expected.issuerNameHash) &&
        certId.issuerKeyHash.equals(expected.issuerKeyHash) &&
        certId.serialNumber.equals(serial)
      );
    },
  },
  {
    name: "ocspStatusIsTheRecorded",
    source: "RFC 6960 §2.2: good or revoked as recorded, with the reason that was given and no other",
    holds: (_, single, { revocation }) => {
      if (single.status !== "revoked") return single.status === "good" && revocation === null;
      const at = revocation?.at.getTime();
      return single.revocationTime.getTime() === at && single.reason === (revocation?.reason ?? undefined);
    },
  },
  {
    name: "ocspReason",
    source:
      "RFC 5280 §5.3.1: removeFromCRL is for delta CRLs; a CA revokes for good, so certificateHold is none of ours",
    holds: (_, single) => single.status !== "revoked" || single.reason === undefined || ![6, 8].includes(single.reason),
  },
  {
    name: "ocspTimes",
    source: "RFC 6960 §2.4, §4.2.2.1: correct at thisUpdate, signed at producedAt, newer information by nextUpdate",
    holds: ({ producedAt }, { thisUpdate, nextUpdate }, prepared) =>
      nextUpdate !== undefined &&
      thisUpdate <= producedAt &&
      producedAt < nextUpdate &&
      thisUpdate.getTime() === prepared.thisUpdate.getTime() &&
      nextUpdate.getTime() === prepared.nextUpdate.getTime(),
  },
  {
    name: "ocspRevokedInThePast",
    source: "RFC 6960 §2.2: the time at which the certificate was revoked",
    holds: (_, single) => single.status !== "revoked" || single.revocationTime <= single.thisUpdate,
  },
  {
    name: "ocspIssuerOutlivesResponse",
    source: "RFC 5280 §6.1.3: the issuer's signature counts until its notAfter",
    holds: (_, { nextUpdate }, { issuer }) => nextUpdate !== undefined && nextUpdate <= issuer.notAfter,
  },
  {
    name: "ocspCertificateNotExpired",
    source:
      "our own: nothing is said of certificates that have expired (RFC 6960 §4.4.4, archive cutoff, is not offered)",
    holds: (_, { thisUpdate }, { notAfter }) => thisUpdate <= notAfter,
  },
  {
    name: "ocspNonceIsTheAsked",
    source: "RFC 9654 §2.1: the nonce of the request, or none",
    holds: ({ nonce }, _, prepared) =>
      Buffer.compare(nonce ?? Buffer.alloc(0), prepared.nonce ?? Buffer.alloc(0)) === 0,
  },
];

/** Names and sources of all rules, for documentation and tests. */
export const responseLintNames: readonly { name: string; source: string }[] = lints.map(({ name, source }) => ({
  name,
  source,
}));

/**
 * Reads the bytes back and holds them against every rule.
 * @throws {LintFailed} with all findings · {DerError} where they cannot be read at all
 */
export function lintResponse(prepared: PreparedResponse): LintedOcspResponse {
  const data = readResponseData(prepared.tbs);
  const [single] = data.responses;
  const findings = lints
    .filter(({ holds }) => single === undefined || !holds(data, single, prepared))
    .map(({ name, source }) => `${name} (${source})`);
  if (findings.length > 0) throw new LintFailed(findings);
  return prepared as LintedOcspResponse;
}
