/**
 * CMS SignedData (RFC 5652 §5) around a document that a cloud signed: one signer, the document inside, and nothing of it given out
 * before its signature holds.
 *
 * Whoever signed is returned beside the content, so that a chain can only be built from the very certificate whose key verified. Certificates
 * that came along prove nothing by being there.
 */
import { hash, verify } from "node:crypto";
import { berToDer } from "../x509/ber.ts";
import { type Certificate, CertificateError, readCertificate } from "../x509/certificate.ts";
import {
  contentOf,
  type DerElement,
  DerError,
  encodingOf,
  membersOf,
  oidOf,
  readDer,
  smallIntegerOf,
  tags,
} from "../x509/der.ts";
import { readSubjectKeyIdentifier } from "../x509/extensions.ts";
import { oids } from "../x509/oid.ts";
import { invalid, malformed } from "./evidence.ts";
import { readVerificationKey } from "./verificationKey.ts";

/** What one signer signed. */
export interface VerifiedSignedData {
  /** The octets whose signature was verified. */
  readonly content: Buffer;
  /** The certificate whose key verified it. Whether it is to be trusted is the caller's question. */
  readonly signer: Certificate;
  /** The certificates that came along, the signer's among them where it did: material for a chain. */
  readonly certificates: readonly Certificate[];
}

/** The largest SignedData that is looked at; real ones have 1 to 8 KiB. */
export const signedDataBytesMax = 32_768;
const certificatesMax = 8;

/** A digest (RFC 5754 §2; SHA-1 and MD5 have no place here) and the signature algorithms that go with it. */
interface Digest {
  readonly name: "sha256" | "sha384" | "sha512";
  readonly oid: string;
  readonly rsa: string;
  readonly ecdsa: string;
}

const digests: readonly Digest[] = [
  { name: "sha256", oid: oids.sha256, rsa: oids.sha256WithRSAEncryption, ecdsa: oids.ecdsaWithSHA256 },
  { name: "sha384", oid: oids.sha384, rsa: oids.sha384WithRSAEncryption, ecdsa: oids.ecdsaWithSHA384 },
  { name: "sha512", oid: oids.sha512, rsa: oids.sha512WithRSAEncryption, ecdsa: oids.ecdsaWithSHA512 },
];

/** `[0]` IMPLICIT of a constructed type, and of a primitive one. */
const constructed0 = 0xa0;
const constructed1 = 0xa1;
const primitive0 = 0x80;

interface SignerInfo {
  readonly identifies: (certificate: Certificate) => boolean;
  readonly digest: Digest;
  readonly signedAttributes: DerElement | undefined;
  readonly signatureAlgorithm: string;
  readonly signature: Buffer;
}

interface ReadSignedData {
  readonly content: Buffer;
  readonly certificates: readonly Certificate[];
  readonly signerInfo: SignerInfo;
}

/**
 * Reads BER or DER and verifies it.
 * @param pinned the only certificates that may have signed it; where left out, those that came along, none of which is trusted for that
 * @throws {EvidenceRefused} evidenceMalformed · evidenceInvalid
 */
export function verifySignedData(input: Uint8Array, pinned?: readonly Certificate[]): VerifiedSignedData {
  const { content, certificates, signerInfo } = readOrRefuse(input);
  const [signer, ...more] = (pinned ?? certificates).filter(signerInfo.identifies);
  if (signer === undefined) {
    throw invalid(
      pinned === undefined
        ? "The signer's certificate is not in the document"
        : "The document's signer is none of the source's certificates",
    );
  }
  if (more.length > 0) throw invalid("More than one certificate could be the signer's");
  requireSignature(signerInfo, content, signer);
  return { content, signer, certificates };
}

function readOrRefuse(input: Uint8Array): ReadSignedData {
  try {
    return readSignedData(readDer(berToDer(input, signedDataBytesMax)));
  } catch (error) {
    if (error instanceof DerError || error instanceof CertificateError) {
      throw malformed(`The document is not CMS SignedData that is read here: ${error.message}`);
    }
    throw error;
  }
}

/** RFC 5652 §3 and §5.1. */
function readSignedData(contentInfo: DerElement): ReadSignedData {
  const [contentType, explicit, ...trailing] = membersOf(contentInfo, tags.sequence, "The ContentInfo");
  if (oidOf(contentType, "The content type") !== oids.pkcs7SignedData) throw new DerError("It is not signed-data");
  const [signedData, ...others] = membersOf(explicit, constructed0, "The content");
  if (trailing.length > 0 || others.length > 0) throw new DerError("The ContentInfo has more than one content");
  const members = membersOf(signedData, tags.sequence, "The SignedData");
  const [version, digestAlgorithms, encapContentInfo, ...rest] = members;
  smallIntegerOf(version, "The version");
  const algorithms = membersOf(digestAlgorithms, tags.set, "The list of digest algorithms").map(algorithmOf);
  const signerInfos = membersOf(rest.pop(), tags.set, "The list of signers");
  if (signerInfos.length !== 1) throw new DerError("It does not have exactly one signer");
  const certificates = rest[0]?.tag === constructed0 ? readCertificates(rest.shift()) : [];
  // Revocation lists that the sender chose say nothing about the sender.
  if (rest[0]?.tag === constructed1) rest.shift();
  if (rest.length > 0) throw new DerError("The SignedData has members that are not read");
  const signerInfo = readSignerInfo(signerInfos[0], algorithms);
  return { content: readContent(encapContentInfo), certificates, signerInfo };
}

/** RFC 5652 §5.2: id-data, attached. A document that is elsewhere is none that was signed here. */
function readContent(encapContentInfo: DerElement | undefined): Buffer {
  const [type, explicit, ...more] = membersOf(encapContentInfo, tags.sequence, "The EncapsulatedContentInfo");
  if (oidOf(type, "The type of what is signed") !== oids.pkcs7Data) throw new DerError("What is signed is not data");
  if (explicit === undefined) throw new DerError("What is signed is not inside (a detached signature)");
  const [octets, ...others] = membersOf(explicit, constructed0, "What is signed");
  if (more.length > 0 || others.length > 0) throw new DerError("More than one thing is signed");
  return contentOf(octets, tags.octetString, "What is signed");
}

function readCertificates(set: DerElement | undefined): Certificate[] {
  const members = membersOf(set, constructed0, "The list of certificates");
  if (members.length > certificatesMax) throw new DerError(`It has more than ${certificatesMax} certificates`);
  return members.map((member) => readCertificate(encodingOf(member), { lenient: true }));
}

/** RFC 5652 §5.3. Unsigned attributes may stand there and are not read. */
function readSignerInfo(element: DerElement | undefined, algorithms: readonly string[]): SignerInfo {
  const [version, sid, digestAlgorithm, ...rest] = membersOf(element, tags.sequence, "The SignerInfo");
  const number = smallIntegerOf(version, "The version of the SignerInfo");
  const identifies = readSignerIdentifier(sid, number);
  const digestOid = algorithmOf(digestAlgorithm);
  // Azure names the signature's algorithm where the digest's belongs; it says the same.
  const digest = digests.find(({ oid, rsa }) => digestOid === oid || digestOid === rsa);
  if (digest === undefined) throw invalid("The document's digest algorithm is not SHA-256, SHA-384 or SHA-512");
  if (!algorithms.includes(digestOid)) throw new DerError("The signer's digest algorithm is not in the list of them");
  const signedAttributes = rest[0]?.tag === constructed0 ? rest.shift() : undefined;
  const [signatureAlgorithm, signature, unsigned, ...more] = rest;
  if (more.length > 0 || (unsigned !== undefined && unsigned.tag !== constructed1)) {
    throw new DerError("The SignerInfo has members that are not read");
  }
  return {
    identifies,
    digest,
    signedAttributes,
    signatureAlgorithm: algorithmOf(signatureAlgorithm),
    signature: contentOf(signature, tags.octetString, "The signature"),
  };
}

/** RFC 5652 §5.3: version 1 goes with issuer and serial number, 3 with a key identifier. */
function readSignerIdentifier(sid: DerElement | undefined, version: number): (certificate: Certificate) => boolean {
  if (sid?.tag === primitive0 && version === 3) {
    const wanted = contentOf(sid, primitive0, "The signer's key identifier");
    return ({ extensions }) => {
      const found = extensions.find(({ oid }) => oid === oids.subjectKeyIdentifier);
      return found !== undefined && readKeyIdentifier(found.value)?.equals(wanted) === true;
    };
  }
  if (version !== 1) throw new DerError("The version of the SignerInfo does not go with how it names the signer");
  const [issuer, serialNumber, ...more] = membersOf(sid, tags.sequence, "The signer's issuer and serial number");
  if (issuer === undefined || more.length > 0) throw new DerError("The signer is not an issuer and a serial number");
  const [name, serial] = [encodingOf(issuer), contentOf(serialNumber, tags.integer, "The signer's serial number")];
  return (certificate) => certificate.issuer.equals(name) && certificate.serialNumber.equals(serial);
}

function readKeyIdentifier(value: Buffer): Buffer | undefined {
  try {
    return readSubjectKeyIdentifier(value);
  } catch (error) {
    if (error instanceof DerError) return undefined;
    throw error;
  }
}

/** The OID of an AlgorithmIdentifier whose parameters are absent or NULL (RFC 5754 §2, RFC 3370 §3.2). */
function algorithmOf(element: DerElement | undefined): string {
  const [oid, parameters, ...more] = membersOf(element, tags.sequence, "An algorithm");
  if (more.length > 0 || (parameters !== undefined && parameters.tag !== tags.null)) {
    throw new DerError("An algorithm has parameters");
  }
  return oidOf(oid, "An algorithm");
}

/** RFC 5652 §5.4 and §5.6. */
function requireSignature(signerInfo: SignerInfo, content: Buffer, signer: Certificate): void {
  const { digest, signedAttributes, signatureAlgorithm, signature } = signerInfo;
  const key = readVerificationKey(signer.spki, "The signer's key");
  // The older PKCS #7 names the key's algorithm alone; the hash is then the digest's (RFC 3370 §3.2).
  const expected = key.asymmetricKeyType === "rsa" ? [digest.rsa, oids.rsaEncryption] : [digest.ecdsa];
  if (key.asymmetricKeyType === "ed25519" || !expected.includes(signatureAlgorithm)) {
    throw invalid("The document's signature algorithm does not go with its digest and the signer's key");
  }
  const signed =
    signedAttributes === undefined ? plainContent(content) : attributesOf(signedAttributes, digest, content);
  if (!verify(digest.name, signed, key, signature)) throw invalid("The document's signature does not verify");
}

/**
 * Without signed attributes the content itself is signed. What reads like such attributes may be those of another document, whose signature
 * would then stand for a content that nobody signed.
 */
function plainContent(content: Buffer): Buffer {
  if (content[0] === tags.set) throw invalid("What is signed reads like the attributes of another signature");
  return content;
}

/** The octets that are signed: the attributes as a SET OF (RFC 5652 §5.4), once they are found to speak of this content. */
function attributesOf(element: DerElement, digest: Digest, content: Buffer): Buffer {
  const signed = Buffer.from(encodingOf(element));
  signed[0] = tags.set;
  const values = readAttributes(signed);
  const [type, messageDigest] = [values.get(oids.contentType), values.get(oids.messageDigest)];
  try {
    if (oidOf(type, "The content-type attribute") !== oids.pkcs7Data) {
      throw invalid("The content-type attribute is not that of what is signed");
    }
    const stated = contentOf(messageDigest, tags.octetString, "The message-digest attribute");
    if (!stated.equals(hash(digest.name, content, "buffer"))) {
      throw invalid("The document's content is not what its signer signed");
    }
  } catch (error) {
    if (error instanceof DerError) throw malformed(error.message);
    throw error;
  }
  return signed;
}

/** Type → its only value. */
function readAttributes(set: Buffer): ReadonlyMap<string, DerElement> {
  const values = new Map<string, DerElement>();
  try {
    for (const attribute of membersOf(readDer(set), tags.set, "The signed attributes")) {
      const [type, value, ...more] = membersOf(attribute, tags.sequence, "A signed attribute");
      const oid = oidOf(type, "The type of a signed attribute");
      const [only, ...others] = membersOf(value, tags.set, "The value of a signed attribute");
      if (only === undefined || more.length > 0 || others.length > 0 || values.has(oid)) {
        throw new DerError("A signed attribute is there twice, or has not exactly one value");
      }
      values.set(oid, only);
    }
  } catch (error) {
    if (error instanceof DerError) throw malformed(error.message);
    throw error;
  }
  return values;
}
