/**
 * A certificate before its signature, read once for all lints. An extension that is there and cannot be read is `undefined` here and in
 * `unreadable`, of which the lint `extensionsReadable` tells; the others need not.
 */
import { DerError } from "../../x509/der.ts";
import {
  type Extension,
  type GeneralNames,
  type KeyUsage,
  readAuthorityKeyIdentifier,
  readBasicConstraints,
  readExtendedKeyUsage,
  readKeyUsage,
  readSubjectAltName,
  readSubjectKeyIdentifier,
} from "../../x509/extensions.ts";
import { readCertificatePolicies } from "../../x509/certificatePolicies.ts";
import { oids } from "../../x509/oid.ts";
import {
  type AuthorityInfoAccess,
  readAuthorityInfoAccess,
  readCRLDistributionPoints,
  readNoRevAvail,
} from "../../x509/revocationExtensions.ts";
import { readTbs, type TbsReading } from "../../x509/tbsReading.ts";
import { lifetimeSecondsOf } from "../profile.ts";

/** What the extensions say; undefined where there is none, or none that can be read. */
interface ExtensionValues {
  authorityKeyIdentifier?: Buffer;
  subjectKeyIdentifier?: Buffer;
  basicConstraints?: { readonly cA: boolean };
  keyUsage?: readonly KeyUsage[];
  /** By name where Mayfly has one, else dotted. */
  extendedKeyUsage?: readonly string[];
  subjectAltName?: GeneralNames;
  noRevAvail?: true;
  crlDistributionPoints?: readonly string[];
  authorityInfoAccess?: Required<AuthorityInfoAccess>;
  /** Dotted. */
  certificatePolicies?: readonly string[];
}

export interface CertificateReading extends TbsReading {
  /** The first of each kind. */
  readonly byOid: ReadonlyMap<string, Extension>;
  readonly values: Readonly<ExtensionValues>;
  /** Dotted, of the extensions whose value is not what their standard says. */
  readonly unreadable: readonly string[];
}

const readers: Readonly<Record<string, (value: Buffer, into: ExtensionValues) => void>> = {
  [oids.authorityKeyIdentifier]: (value, into) => (into.authorityKeyIdentifier = readAuthorityKeyIdentifier(value)),
  [oids.subjectKeyIdentifier]: (value, into) => (into.subjectKeyIdentifier = readSubjectKeyIdentifier(value)),
  [oids.basicConstraints]: (value, into) => (into.basicConstraints = readBasicConstraints(value)),
  [oids.keyUsage]: (value, into) => (into.keyUsage = readKeyUsage(value)),
  [oids.extendedKeyUsage]: (value, into) => (into.extendedKeyUsage = readExtendedKeyUsage(value)),
  [oids.subjectAltName]: (value, into) => (into.subjectAltName = readSubjectAltName(value)),
  [oids.noRevAvail](value, into) {
    readNoRevAvail(value);
    into.noRevAvail = true;
  },
  [oids.cRLDistributionPoints]: (value, into) => (into.crlDistributionPoints = readCRLDistributionPoints(value)),
  [oids.authorityInfoAccess]: (value, into) => (into.authorityInfoAccess = readAuthorityInfoAccess(value)),
  [oids.certificatePolicies]: (value, into) => (into.certificatePolicies = readCertificatePolicies(value)),
};

/** The extensions whose value is read, and so the only ones that may be in a certificate of ours. */
export const knownExtensions: ReadonlySet<string> = new Set(Object.keys(readers));

/** @throws {DerError} where the bytes are not a TBSCertificate at all */
export function readForLints(tbs: Buffer): CertificateReading {
  const reading = readTbs(tbs);
  const byOid = new Map<string, Extension>();
  const values: ExtensionValues = {};
  const unreadable: string[] = [];
  for (const extension of reading.extensions) {
    if (byOid.has(extension.oid)) continue;
    byOid.set(extension.oid, extension);
    try {
      readers[extension.oid]?.(extension.value, values);
    } catch (error) {
      if (!(error instanceof DerError)) throw error;
      unreadable.push(extension.oid);
    }
  }
  return { ...reading, byOid, values, unreadable };
}

/** Seconds that the certificate lives by its own words. */
export const lifetimeOf = ({ notBefore, notAfter }: CertificateReading): number =>
  lifetimeSecondsOf({ notBefore: notBefore.date, notAfter: notAfter.date });
