/** Renewal information (RFC 9773) on the agent's side: what a certificate is called, and when it is time. */
import { createHash, type X509Certificate } from "node:crypto";
import { readCertificate } from "../x509/certificate.ts";
import { readAuthorityKeyIdentifier } from "../x509/extensions.ts";
import { oids } from "../x509/oid.ts";

/** When the server would like a certificate to be renewed. */
export interface RenewalInfo {
  readonly start: Date;
  /** After `start`. */
  readonly end: Date;
  /** A page for people, where the server has a reason. */
  readonly explanationUrl: string | undefined;
}

/** The certificate's id (§4.1); undefined for one without an authority key identifier. @throws when it cannot be read */
export function certificateIdOf({ raw }: X509Certificate): string | undefined {
  const { extensions, serialNumber } = readCertificate(raw);
  const value = extensions.find(({ oid }) => oid === oids.authorityKeyIdentifier)?.value;
  if (value === undefined) return undefined;
  return `${readAuthorityKeyIdentifier(value).toString("base64url")}.${serialNumber.toString("base64url")}`;
}

/**
 * The moment in the window at which this certificate is renewed (§4.2 asks for one by chance): by its own octets, so that an agent which
 * is started again and again does not draw again. Without renewal information, two thirds through the certificate's life.
 */
export function renewalTime(leaf: X509Certificate, info: RenewalInfo | undefined): Date {
  const chance = createHash("sha256").update(leaf.raw).digest().readUInt32BE() / 2 ** 32;
  const [from, to] = [leaf.validFromDate.getTime(), leaf.validToDate.getTime()];
  if (info === undefined) return new Date(from + ((to - from) * 2) / 3);
  return new Date(info.start.getTime() + chance * (info.end.getTime() - info.start.getTime()));
}
