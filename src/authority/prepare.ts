/**
 * Prepare: an `Authorized` value and a public key become the bytes that will be signed. Pure; nothing of the CSR but its key comes
 * this far, so nothing else of it can reach a certificate.
 */
import { encodeName } from "../x509/name.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  type Extension,
  extendedKeyUsage,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "../x509/extensions.ts";
import { authorityInfoAccess, cRLDistributionPoints, noRevAvail } from "../x509/revocationExtensions.ts";
import { encodeTbsCertificate } from "../x509/certificate.ts";
import type { PublicKey } from "../x509/publicKey.ts";
import type { Authorized } from "./authorize.ts";
import type { Issuer } from "./issuer.ts";
import { type Profile, validityOf } from "./profile.ts";
import { commonNameFor } from "./subject.ts";

/** A certificate without a signature, and without the lints' blessing. */
export interface PreparedCertificate {
  readonly authorized: Authorized;
  readonly issuer: Issuer;
  readonly publicKey: PublicKey;
  readonly serialNumber: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly tbs: Buffer;
}

/** Octets of randomness in a serial number: 112 bits, of which RFC 5280 and the BRs ask 64. */
export const serialRandomOctets = 14;

/**
 * A serial number: two octets with the day of notAfter since 1970 (the high bit stays clear until 2059), then 112 random bits. The
 * prefix keeps neighbours in time near each other in the index and lets revocation lists be cut by day.
 */
export function serialNumber(notAfter: Date, random: Buffer): Buffer {
  if (random.length !== serialRandomOctets) throw new RangeError(`a serial needs ${serialRandomOctets} random octets`);
  const day = Math.floor(notAfter.getTime() / 86_400_000);
  if (day < 0x100 || day > 0x7fff) throw new RangeError("notAfter lies outside the range of serial numbers");
  const prefix = Buffer.alloc(2);
  prefix.writeUInt16BE(day);
  return Buffer.concat([prefix, random]);
}

/** Seconds that a validity lasts: both ends belong to it (RFC 5280 §4.1.2.5). */
export const lifetimeSecondsOf = ({ notBefore, notAfter }: { notBefore: Date; notAfter: Date }): number =>
  (notAfter.getTime() - notBefore.getTime()) / 1000 + 1;

/** A certificate that lives so briefly that nobody needs to ask says so (RFC 9608); another says where to ask. */
function revocationExtensions(
  { revocation }: Profile,
  issuer: Issuer,
  serial: Buffer,
  validity: { notBefore: Date; notAfter: Date },
): Extension[] {
  if (lifetimeSecondsOf(validity) <= revocation.shortLivedMaxSeconds) return [noRevAvail];
  const extensions: Extension[] = [];
  if (revocation.crl) extensions.push(cRLDistributionPoints([issuer.crlUrl(serial)]));
  if (revocation.ocsp) extensions.push(authorityInfoAccess({ ocsp: [issuer.ocspUrl] }));
  return extensions;
}

/**
 * Builds the TBSCertificate (RFC 5280 §4.1, X.509-SVID §2–4).
 * @throws {ValidityRefused} when the asked validity is outside the profile · {SubjectRefused} when no name can be its subject
 */
export function prepare(
  authorized: Authorized,
  publicKey: PublicKey,
  issuer: Issuer,
  { now, random }: { now: Date; random: Buffer },
): PreparedCertificate {
  const { names, profile } = authorized;
  const { notAfterCap = issuer.notAfter } = authorized.validity;
  const { notBefore, notAfter } = validityOf(profile, now, {
    ...authorized.validity,
    notAfterCap: notAfterCap < issuer.notAfter ? notAfterCap : issuer.notAfter, // RFC 5280 §6.1.3: the issuer outlives the leaf.
  });
  const serial = serialNumber(notAfter, random);
  const commonName = commonNameFor(profile, names.dns);
  const purposes = profile.extendedKeyUsage;
  const tbs = encodeTbsCertificate({
    serialNumber: serial,
    signatureAlgorithm: issuer.key.algorithm,
    issuer: issuer.subject,
    notBefore,
    notAfter,
    subject: commonName === undefined ? encodeName({}) : encodeName({ commonName }),
    spki: publicKey.spki,
    extensions: [
      authorityKeyIdentifier(issuer.subjectKeyIdentifier),
      subjectKeyIdentifier(publicKey.spki),
      basicConstraints({ cA: false }),
      keyUsage(publicKey.kind === "rsa" ? ["digitalSignature", "keyEncipherment"] : ["digitalSignature"]),
      ...(purposes.length > 0 ? [extendedKeyUsage([...purposes])] : []),
      subjectAltName(names, commonName === undefined), // RFC 5280 §4.2.1.6: critical exactly where the subject is empty.
      ...revocationExtensions(profile, issuer, serial, { notBefore, notAfter }),
    ],
  });
  return { authorized, issuer, publicKey, serialNumber: serial, notBefore, notAfter, tbs };
}
