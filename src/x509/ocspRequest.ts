/**
 * OCSP requests (RFC 6960 §4.1, RFC 9654), strictly read. A signature on one is not looked at: whoever asks may ask, so there is nothing to
 * decide by it (RFC 5019 §2.1.2 lets responders ignore it).
 */
import {
  contentOf,
  type DerElement,
  DerError,
  membersOf,
  octetAlignedBitsOf,
  oidOf,
  readDer,
  sequenceBytesOf,
  tags,
} from "./der.ts";
import { constructed, der, type DerValue, encodeDer, objectIdentifier, octetString, sequence } from "./derWriter.ts";
import { type Extension, encodeExtension, readExtensions } from "./extensions.ts";
import { oids } from "./oid.ts";

/** Hash algorithms of a CertID that are known here: SHA-1 is what nearly every client asks with (RFC 5019 §2.1.1). */
export const certIdHashes = ["sha1", "sha256"] as const;
export type CertIdHash = (typeof certIdHashes)[number];

/** Octets of each hash. */
const hashOctets = { sha1: 20, sha256: 32 } as const;

/** Which certificate is asked about (RFC 6960 §4.1.1). */
export interface CertId {
  /** Undefined for an algorithm that is not known here: then the certificate cannot be told. */
  readonly hash: CertIdHash | undefined;
  /** Hash of the issuer's DER Name. */
  readonly issuerNameHash: Buffer;
  /** Hash of the issuer's key, which is the content of its BIT STRING without the octet that counts unused bits. */
  readonly issuerKeyHash: Buffer;
  /** Content of the INTEGER, whatever it is. */
  readonly serialNumber: Buffer;
}

/** A request that was read. Its buffers are views of the input. */
export interface OcspRequest {
  /** At least one. */
  readonly certIds: readonly CertId[];
  /** The value of the nonce, without any wrapping; undefined where there is none. */
  readonly nonce: Buffer | undefined;
}

/** Certificates in one request; one more is refused before any of them is read. */
const certIdsMax = 100;

/** RFC 9654 §2.1: a nonce outside of these makes the request malformed. */
const nonceOctets = { least: 1, most: 128 } as const;

/**
 * Reads exactly one DER OCSPRequest of version 1.
 * @throws {DerError} also for a nonce that is empty or has more than 128 octets, and for a critical extension that is not known here
 */
export function readOcspRequest(input: Uint8Array): OcspRequest {
  const [tbs, signature, ...more] = membersOf(readDer(input), tags.sequence, "The OCSP request");
  if (more.length > 0) throw new DerError("The OCSP request has more than two members");
  if (signature !== undefined) requireSignatureForm(signature);
  return readTbs(membersOf(tbs, tags.sequence, "The to-be-signed request"));
}

/** RFC 6960 §4.1.1: `[0] EXPLICIT Signature`, of which the form alone counts here. */
function requireSignatureForm(element: DerElement): void {
  const [signature, ...others] = membersOf(element, 0xa0, "The signature of the request");
  const [algorithm, bits, certificates, ...more] = membersOf(signature, tags.sequence, "The signature of the request");
  if (others.length > 0 || more.length > 0) throw new DerError("The signature of the request has members too many");
  sequenceBytesOf(algorithm, "The signature algorithm of the request");
  octetAlignedBitsOf(bits, "The signature's value");
  if (certificates !== undefined) membersOf(certificates, 0xa0, "The certificates of the request");
}

function readTbs(members: readonly DerElement[]): OcspRequest {
  let at = 0;
  // Version 1 is the default, which DER does not write (X.690 §11.5), and there is no other one.
  if (members[at]?.tag === 0xa0) throw new DerError("The OCSP request names a version, and version 1 is not named");
  if (members[at]?.tag === 0xa1) at++; // The requestor's name says nothing that is asked for here.
  const requests = membersOf(members[at++], tags.sequence, "The list of requests");
  if (requests.length === 0) throw new DerError("The OCSP request asks for nothing");
  if (requests.length > certIdsMax)
    throw new DerError(`The OCSP request asks for more than ${certIdsMax} certificates`);
  const extensions = members[at]?.tag === 0xa2 ? members[at++] : undefined;
  if (members.length > at) throw new DerError("The to-be-signed request has members that are not read");
  return { certIds: requests.map(readRequest), nonce: extensions && nonceIn(extensionsOf(extensions)) };
}

function readRequest(element: DerElement): CertId {
  const [certId, extensions, ...more] = membersOf(element, tags.sequence, "A request");
  if (more.length > 0) throw new DerError("A request has more than two members");
  if (extensions !== undefined) refuseCritical(extensionsOf(expectExtensions(extensions)));
  return readCertId(certId);
}

function expectExtensions(element: DerElement): DerElement {
  membersOf(element, 0xa0, "The extensions of a request");
  return element;
}

function extensionsOf(element: DerElement): Extension[] {
  if (element.children.length !== 1) throw new DerError("The extensions are not one list");
  return readExtensions(element.children[0]);
}

function refuseCritical(extensions: readonly Extension[]): void {
  if (extensions.some(({ critical }) => critical)) throw new DerError("A critical extension is not known here");
}

/**
 * The nonce among the extensions of a request or a response (RFC 9654 §2.1): an OCTET STRING within the value.
 * @throws {DerError} where it is malformed, or another extension is critical
 */
export function nonceIn(extensions: readonly Extension[]): Buffer | undefined {
  refuseCritical(extensions.filter(({ oid }) => oid !== oids.ocspNonce));
  const found = extensions.find(({ oid }) => oid === oids.ocspNonce);
  if (found === undefined) return undefined;
  const nonce = contentOf(readDer(found.value), tags.octetString, "The nonce");
  if (nonce.length < nonceOctets.least || nonce.length > nonceOctets.most)
    throw new DerError(`A nonce has ${nonceOctets.least} to ${nonceOctets.most} octets`);
  return nonce;
}

/** Reads a CertID, of a request or a response. @throws {DerError} */
export function readCertId(element: DerElement | undefined): CertId {
  const [algorithm, nameHash, keyHash, serialNumber, ...more] = membersOf(element, tags.sequence, "A CertID");
  if (more.length > 0) throw new DerError("A CertID has more than four members");
  const hash = hashOf(algorithm);
  const issuerNameHash = contentOf(nameHash, tags.octetString, "The issuerNameHash");
  const issuerKeyHash = contentOf(keyHash, tags.octetString, "The issuerKeyHash");
  if (hash !== undefined && [issuerNameHash, issuerKeyHash].some(({ length }) => length !== hashOctets[hash]))
    throw new DerError("A hash of a CertID has not the length that its algorithm makes");
  return {
    hash,
    issuerNameHash,
    issuerKeyHash,
    serialNumber: contentOf(serialNumber, tags.integer, "The serial number"),
  };
}

/** Parameters are NULL or absent; both are about (RFC 5754 §2 wants either taken). */
function hashOf(element: DerElement | undefined): CertIdHash | undefined {
  const [algorithm, parameters, ...more] = membersOf(element, tags.sequence, "The hash algorithm");
  if (more.length > 0) throw new DerError("The hash algorithm has more than two members");
  const oid = oidOf(algorithm, "The hash algorithm");
  const hash = certIdHashes.find((name) => oids[name] === oid);
  if (hash !== undefined && parameters !== undefined && parameters.tag !== tags.null)
    throw new DerError("The hash algorithm has parameters");
  return hash;
}

/** NULL parameters: clients that compare octets compare with what they sent, and nearly all send NULL. */
const hashIdentifiers: Readonly<Record<CertIdHash, Buffer>> = {
  sha1: encodeDer(sequence(objectIdentifier(oids.sha1), der(tags.null))),
  sha256: encodeDer(sequence(objectIdentifier(oids.sha256), der(tags.null))),
};

/** DER CertID (RFC 6960 §4.1.1). @throws {RangeError} for an algorithm that is not known here */
export function encodeCertId({ hash, issuerNameHash, issuerKeyHash, serialNumber }: CertId): DerValue {
  if (hash === undefined) throw new RangeError("A CertID is made with a hash algorithm that is known here");
  return sequence(
    hashIdentifiers[hash],
    octetString(issuerNameHash),
    octetString(issuerKeyHash),
    der(tags.integer, serialNumber),
  );
}

/** DER Extension with a nonce (RFC 9654 §2.1); not critical. */
export const nonceExtension = (nonce: Uint8Array): DerValue =>
  encodeExtension({ oid: oids.ocspNonce, critical: false, value: encodeDer(octetString(nonce)) });

/** DER OCSPRequest without a signature: what a client of ours sends. */
export function encodeOcspRequest({ certIds, nonce }: OcspRequest): Buffer {
  const list = sequence(...certIds.map((certId) => sequence(encodeCertId(certId))));
  const extensions = nonce === undefined ? [] : [constructed(2, sequence(nonceExtension(nonce)))];
  return encodeDer(sequence(sequence(list, ...extensions)));
}
