/**
 * Certificate revocation lists of version 2 (RFC 5280 §5.1), reading: complete lists of one CA about its own certificates, and those that are
 * about a part of them. Nothing is verified but the form.
 */
import {
  type IssuingDistributionPoint,
  readCertificateListNumber,
  readIssuingDistributionPoint,
} from "./certificateListExtensions.ts";
import { type ScannedList, scanCertificateList, type ScannedTbs, type VisitEntry } from "./certificateListScan.ts";
import { DerError } from "./der.ts";
import { readAuthorityKeyIdentifier, type Extension } from "./extensions.ts";
import { oids } from "./oid.ts";

/** A list that was read. Its buffers are views of one copy of the input. */
export interface CertificateList {
  /** The signed bytes. */
  readonly tbs: Buffer;
  /** DER AlgorithmIdentifier. */
  readonly signatureIdentifier: Buffer;
  readonly signature: Buffer;
  /** DER Name. */
  readonly issuer: Buffer;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  /** True when the list has a certificate with this serial number, given as the content of its INTEGER. */
  revokes(serialNumber: Buffer): boolean;
}

/**
 * Reads exactly one DER CertificateList. It must say when the next one comes, and nothing critical may be in it: that would make it a list of
 * something else than all certificates of its issuer (RFC 5280 §5.2.4, §5.2.5, §5.3.3).
 * @throws {DerError}
 */
export function readCertificateList(input: Uint8Array): CertificateList {
  const { list, revokes } = collected(input);
  const { extensions, entries: _, ...content } = list;
  refuseCritical(extensions);
  return { ...content, revokes };
}

/** What the extensions of a list that is about a distribution point say. */
export interface DistributedContent {
  readonly distributionPoint: IssuingDistributionPoint;
  /** The content of the cRLNumber's INTEGER (§5.2.3). */
  readonly number: Buffer;
  readonly authorityKeyIdentifier: Buffer;
}

/** A list about the certificates that name its distribution point. */
export type DistributedList = CertificateList & DistributedContent & { readonly entries: number };

/**
 * Reads exactly one DER CertificateList that is about one distribution point (§5.2.5), as ours are: who reads it must hold the point against
 * the one in the certificate (§6.3.3), or it says nothing about it.
 * @throws {DerError}
 */
export function readDistributedList(input: Uint8Array): DistributedList {
  const { list, revokes } = collected(input);
  const { extensions: _, ...content } = list;
  return { ...content, ...distributedContent(list), revokes };
}

/** The extensions of such a list, of which it has three: authorityKeyIdentifier, cRLNumber and issuingDistributionPoint. @throws {DerError} */
export function distributedContent({ extensions }: Pick<ScannedTbs, "extensions">): DistributedContent {
  const [identifier, number, point] = [oids.authorityKeyIdentifier, oids.cRLNumber, oids.issuingDistributionPoint].map(
    (wanted) => extensions.find(({ oid }) => oid === wanted),
  );
  if (identifier === undefined || number === undefined || point === undefined)
    throw new DerError("The revocation list lacks the identifier of its key, its number, or its distribution point");
  if (!point.critical) throw new DerError("The distribution point of the revocation list is not critical");
  refuseCritical(extensions.filter((extension) => extension !== point));
  return {
    authorityKeyIdentifier: readAuthorityKeyIdentifier(identifier.value),
    number: readCertificateListNumber(number.value),
    distributionPoint: readIssuingDistributionPoint(point.value),
  };
}

function collected(input: Uint8Array): { list: ScannedList; revokes: CertificateList["revokes"] } {
  const revoked = new Set<string>();
  const collect: VisitEntry = (octets, start, end) => void revoked.add(octets.toString("latin1", start, end));
  const list = scanCertificateList(Buffer.from(input), collect);
  return { list, revokes: (serialNumber) => revoked.has(serialNumber.toString("latin1")) };
}

function refuseCritical(extensions: readonly Extension[]): void {
  if (extensions.some(({ critical }) => critical)) {
    throw new DerError("The revocation list has a critical extension that is not known here");
  }
}
