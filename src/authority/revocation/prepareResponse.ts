/**
 * An OCSP response about one certificate of ours, before it is linted and signed (RFC 6960 §4.2). Pure. The issuing CA's own key signs it, so
 * there is no responder certificate to send along, to watch over, or to misuse (RFC 6960 §4.2.2.2).
 */
import { hash as digest } from "node:crypto";

import { contentOfPublicKey } from "../../x509/extensions.ts";
import type { CertId, CertIdHash } from "../../x509/ocspRequest.ts";
import { encodeResponseData } from "../../x509/ocspResponse.ts";
import type { Issuer } from "../issuer.ts";
import type { RecordedRevocation } from "../ocspPorts.ts";

/** What a response needs of an issuer. */
export type ResponseIssuer = Pick<Issuer, "id" | "subject" | "notAfter" | "key">;

/** What is to be said. */
export interface Statement {
  readonly issuer: ResponseIssuer;
  readonly serial: Buffer;
  readonly hash: CertIdHash;
  readonly revocation: RecordedRevocation | null;
  /** Of the certificate. */
  readonly notAfter: Date;
  /** Of the request; undefined for one that is made ahead. */
  readonly nonce: Buffer | undefined;
}

/** A response without a signature, and without the lints' blessing. */
export interface PreparedResponse extends Statement {
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  /** DER ResponseData. */
  readonly tbs: Buffer;
}

/** The CertID of a certificate with this serial number by this issuer (RFC 6960 §4.1.1). */
export const certIdOf = ({ subject, key }: ResponseIssuer, hash: CertIdHash, serialNumber: Buffer): CertId => ({
  hash,
  issuerNameHash: digest(hash, subject, "buffer"),
  issuerKeyHash: digest(hash, contentOfPublicKey(key.spki), "buffer"),
  serialNumber,
});

/**
 * The ResponseData. It says nothing beyond the end of its issuer, whose signatures nobody takes then.
 * @throws {RangeError} where the issuer ends before the next whole second
 */
export function prepareResponse(statement: Statement, now: Date, lifetimeSeconds: number): PreparedResponse {
  const { issuer, serial, hash, revocation, nonce } = statement;
  // The time of a revocation is the database's, whose clock may be a little ahead of ours.
  const at = Math.max(now.getTime(), revocation?.at.getTime() ?? 0);
  const thisUpdate = new Date(Math.floor(at / 1000) * 1000);
  const nextUpdate = new Date(Math.min(thisUpdate.getTime() + lifetimeSeconds * 1000, issuer.notAfter.getTime()));
  if (nextUpdate <= thisUpdate) throw new RangeError("the issuer has ended, and its responses with it");
  const certId = certIdOf(issuer, hash, serial);
  const status =
    revocation === null
      ? ({ status: "good" } as const)
      : ({ status: "revoked", revocationTime: revocation.at, reason: revocation.reason ?? undefined } as const);
  const tbs = encodeResponseData({
    // RFC 6960 §4.2.1: always SHA-1, which tells the key and protects nothing.
    responderId: { byKey: digest("sha1", contentOfPublicKey(issuer.key.spki), "buffer") },
    producedAt: thisUpdate,
    responses: [{ ...status, certId, thisUpdate, nextUpdate }],
    nonce,
  });
  return { ...statement, thisUpdate, nextUpdate, tbs };
}
