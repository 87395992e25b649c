/**
 * Certification requests (PKCS #10, RFC 2986), reading. What a request asks for beyond its key and names is ignored, never copied; those of
 * CAs are read whole, for people to see.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import {
  type DerElement,
  DerError,
  membersOf,
  octetAlignedBitsOf,
  oidOf,
  readDer,
  sequenceBytesOf,
  smallIntegerOf,
  tags,
} from "./der.ts";
import { type Extension, type GeneralNames, noNames, readExtensions, readSubjectAltName } from "./extensions.ts";
import { commonNameIn } from "./name.ts";
import { oids } from "./oid.ts";
import { KeyRefused, type PublicKey, readPublicKey } from "./publicKey.ts";
import {
  isRequestAlgorithm,
  signatureAlgorithmOf,
  verifyRequestSignature,
  verifySignature,
} from "./signatureAlgorithm.ts";

/** The request is not acceptable. The message is a sentence fit for a client and quotes nothing. */
export class CsrError extends Error {
  override readonly name = "CsrError";
}

/** What a request proves (that its sender holds the key) and what it asks for. */
export interface CertificationRequest {
  readonly publicKey: PublicKey;
  /** Of the subjectAltName; as written, so the caller canonicalises DNS names. All empty where there is none. */
  readonly names: GeneralNames;
  readonly commonName?: string;
}

/** A request whose self-signature nobody has looked at yet. */
export interface UnverifiedRequest {
  readonly request: CertificationRequest;
  /** Proof of possession (RFC 2986 §4.2). @throws {CsrError} */
  requireSelfSignature(): void;
}

/**
 * Reads exactly one DER request whose self-signature verifies. The size of `der` is the caller's to limit.
 * @throws {CsrError}
 */
export function readCsr(der: Uint8Array): CertificationRequest {
  const unverified = readUnverifiedCsr(der);
  unverified.requireSelfSignature();
  return unverified.request;
}

/**
 * The same but for the signature: everything else is checked, the key as well.
 * @throws {CsrError}
 */
export function readUnverifiedCsr(der: Uint8Array): UnverifiedRequest {
  return refusing(() => {
    const members = membersOf(readDer(der), tags.sequence, "The request");
    if (members.length !== 3) throw new CsrError("The request has not three members");
    const [info, algorithm, signature] = members;
    const request = readInfo(membersOf(info, tags.sequence, "The information of the request"));
    const identifier = sequenceBytesOf(algorithm, "The signature algorithm");
    if (!isRequestAlgorithm(identifier)) throw new CsrError("The signature algorithm of the request is not accepted");
    const bits = octetAlignedBitsOf(signature, "The signature");
    const signed = sequenceBytesOf(info, "The information of the request");
    const verifies = () => verifyRequestSignature(identifier, request.publicKey.key, signed, bits);
    return {
      request,
      requireSelfSignature() {
        if (!refusing(verifies)) throw new CsrError("The signature of the request does not verify with its own key");
      },
    };
  });
}

/** What is wrong with bytes or key is wrong with the request. */
function refusing<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (error instanceof DerError || error instanceof KeyRefused) throw new CsrError(error.message, { cause: error });
    throw error;
  }
}

/** RFC 2986 §4.1: version, subject, key, attributes. Names are cheaper to refuse than keys, and so go first. */
function readInfo(members: readonly DerElement[]): CertificationRequest {
  if (members.length !== 4) throw new CsrError("The information of the request has not four members");
  const [version, subject, spki, attributes] = members;
  if (smallIntegerOf(version, "The version") !== 0) throw new CsrError("The version of the request is not 0");
  const commonName = commonNameIn(subject);
  const names = readNames(membersOf(attributes, 0xa0, "The list of attributes"));
  const publicKey = readPublicKey(sequenceBytesOf(spki, "The public key"));
  return commonName === undefined ? { publicKey, names } : { publicKey, names, commonName };
}

/** The names of the one extensionRequest (RFC 2985 §5.4.2); other attributes and extensions are passed over. */
function readNames(attributes: readonly DerElement[]): GeneralNames {
  const san = readRequestedExtensions(attributes).find(({ oid }) => oid === oids.subjectAltName);
  return san === undefined ? noNames() : readSubjectAltName(san.value);
}

function readRequestedExtensions(attributes: readonly DerElement[]): Extension[] {
  const requests: (readonly DerElement[])[] = [];
  for (const attribute of attributes) {
    const members = membersOf(attribute, tags.sequence, "An attribute");
    const type = oidOf(members[0], "The type of an attribute");
    if (members.length !== 2) throw new CsrError("An attribute has not two members");
    const values = membersOf(members[1], tags.set, "The values of an attribute");
    if (type === oids.extensionRequest) requests.push(values);
  }
  if (requests.length > 1) throw new CsrError("The request has more than one extensionRequest");
  const [values] = requests;
  if (values === undefined) return [];
  if (values.length !== 1) throw new CsrError("The extensionRequest has not exactly one value"); // RFC 2985: SINGLE VALUE TRUE
  return readExtensions(values[0]);
}

/** What a request for a CA's certificate proves, and what it proposes to whoever signs. */
export interface CaRequest {
  readonly der: Buffer;
  /** DER Name. */
  readonly subject: Buffer;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  /** The extensions that are asked for. */
  readonly extensions: readonly Extension[];
}

/**
 * Reads exactly one DER request for a CA's certificate whose self-signature verifies. Whether the key may be a CA's is the caller's to judge.
 * @throws {CsrError}
 */
export function readCaRequest(input: Uint8Array): CaRequest {
  try {
    const bytes = Buffer.from(input);
    const members = membersOf(readDer(bytes), tags.sequence, "The request");
    if (members.length !== 3) throw new CsrError("The request has not three members");
    const [info, algorithm, signature] = members;
    const parts = membersOf(info, tags.sequence, "The information of the request");
    if (parts.length !== 4) throw new CsrError("The information of the request has not four members");
    const [version, subject, key, attributes] = parts;
    if (smallIntegerOf(version, "The version") !== 0) throw new CsrError("The version of the request is not 0");
    const spki = sequenceBytesOf(key, "The public key");
    const identifier = sequenceBytesOf(algorithm, "The signature algorithm");
    const signed = sequenceBytesOf(info, "The information of the request");
    if (!isSelfSigned(identifier, importKey(spki), signed, octetAlignedBitsOf(signature, "The signature")))
      throw new CsrError("The signature of the request does not verify with its own key");
    const extensions = readRequestedExtensions(membersOf(attributes, 0xa0, "The list of attributes"));
    return { der: bytes, subject: sequenceBytesOf(subject, "The subject"), spki, extensions };
  } catch (error) {
    if (error instanceof DerError) throw new CsrError(error.message, { cause: error });
    throw error;
  }
}

function importKey(spki: Buffer): KeyObject {
  try {
    return createPublicKey({ key: spki, type: "spki", format: "der" });
  } catch (error) {
    throw new CsrError("The public key of the request cannot be read", { cause: error });
  }
}

/** By an algorithm that our own keys sign with, or by one that agents may use. */
function isSelfSigned(identifier: Buffer, key: KeyObject, signed: Buffer, signature: Buffer): boolean {
  const own = signatureAlgorithmOf(identifier);
  if (own !== undefined && verifySignature(own, key, signed, signature)) return true;
  return verifyRequestSignature(identifier, key, signed, signature);
}
