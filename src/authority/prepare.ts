/**
 * Prepare: an `Authorized` value and a public key become the bytes that will be signed. Pure; nothing of the CSR but its key comes
 * this far, so nothing else of it can reach a certificate.
 */
import { certificatePolicies } from "../x509/certificatePolicies.ts";
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
import { keyUsesOf } from "./keyUses.ts";
import { lifetimeSecondsOf, type Profile, validityOf } from "./profile.ts";
import { serialNumber } from "./serialNumber.ts";
import { commonNameFor } from "./subject.ts";

/** A certificate without a signature, and without the lints' blessing. */
export interface PreparedCertificate {
  readonly authorized: Authorized;
  readonly issuer: Issuer;
  readonly publicKey: PublicKey;
  readonly serialNumber: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** When it was prepared, by which the validity is judged. */
  readonly preparedAt: Date;
  readonly tbs: Buffer;
}

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
      keyUsage(keyUsesOf(profile.keyUsage, publicKey.kind)),
      ...(purposes.length > 0 ? [extendedKeyUsage([...purposes])] : []),
      subjectAltName(names, commonName === undefined), // RFC 5280 §4.2.1.6: critical exactly where the subject is empty.
      ...(profile.certificatePolicies.length > 0 ? [certificatePolicies(profile.certificatePolicies)] : []),
      ...revocationExtensions(profile, issuer, serial, { notBefore, notAfter }),
    ],
  });
  return { authorized, issuer, publicKey, serialNumber: serial, notBefore, notAfter, preparedAt: now, tbs };
}
