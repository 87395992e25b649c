/**
 * Certificate revocation lists of version 2 (RFC 5280 §5.1), reading: complete lists of one CA about its own certificates. Nothing is verified
 * but the form.
 */
import {
  contentOf,
  type DerElement,
  DerError,
  membersOf,
  octetAlignedBitsOf,
  readDer,
  sequenceBytesOf,
  smallIntegerOf,
  tags,
  timeOf,
} from "./der.ts";
import { readExtensions } from "./extensions.ts";

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
  const bytes = Buffer.from(input);
  const [tbs, algorithm, signature, ...more] = membersOf(readDer(bytes), tags.sequence, "The revocation list");
  if (more.length > 0) throw new DerError("The revocation list has more than three members");
  const signatureIdentifier = sequenceBytesOf(algorithm, "The signature algorithm");
  return {
    ...readTbs(membersOf(tbs, tags.sequence, "The list to be signed"), signatureIdentifier),
    tbs: sequenceBytesOf(tbs, "The list to be signed"),
    signatureIdentifier,
    signature: octetAlignedBitsOf(signature, "The signature"),
  };
}

type TbsContent = Omit<CertificateList, "tbs" | "signatureIdentifier" | "signature">;

function readTbs(members: readonly DerElement[], algorithm: Buffer): TbsContent {
  const [version, innerAlgorithm, issuer, thisUpdate, nextUpdate, ...rest] = members;
  if (smallIntegerOf(version, "The version") !== 1) throw new DerError("The revocation list is not of version 2");
  if (!sequenceBytesOf(innerAlgorithm, "The signature algorithm").equals(algorithm)) {
    throw new DerError("The two signature algorithms of the revocation list differ"); // RFC 5280 §5.1.1.2
  }
  // RFC 5280 §5.1.2.6: no list of revoked certificates where there are none.
  const entries = rest[0]?.tag === tags.sequence ? membersOf(rest.shift(), tags.sequence, "The list of entries") : [];
  const extensions = rest[0]?.tag === 0xa0 ? rest.shift() : undefined;
  if (rest.length > 0) throw new DerError("The revocation list has members that are not read");
  if (extensions !== undefined) {
    if (extensions.children.length !== 1) throw new DerError("The extensions are not one list");
    refuseCritical(extensions.children[0]);
  }
  const revoked = new Set(entries.map(serialOf));
  return {
    issuer: sequenceBytesOf(issuer, "The issuer"),
    thisUpdate: timeOf(thisUpdate, "The thisUpdate"),
    nextUpdate: timeOf(nextUpdate, "The nextUpdate"),
    revokes: (serialNumber) => revoked.has(serialNumber.toString("latin1")),
  };
}

function serialOf(entry: DerElement): string {
  const [serialNumber, date, extensions, ...more] = membersOf(entry, tags.sequence, "An entry");
  if (date === undefined || more.length > 0) throw new DerError("An entry has not two or three members");
  timeOf(date, "The date of an entry");
  if (extensions !== undefined) refuseCritical(extensions);
  return contentOf(serialNumber, tags.integer, "The serial number of an entry").toString("latin1");
}

function refuseCritical(extensions: DerElement | undefined): void {
  if (readExtensions(extensions).some(({ critical }) => critical)) {
    throw new DerError("The revocation list has a critical extension that is not known here");
  }
}
