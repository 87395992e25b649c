/**
 * OCSP responses (RFC 6960 §4.2): what says nothing of a certificate, the data that is signed, assembly, and strict reading.
 */
import type { SignatureAlgorithm } from "../keys/signer.ts";
import {
  contentOf,
  type DerElement,
  DerError,
  membersOf,
  octetAlignedBitsOf,
  oidOf,
  readDer,
  requireOneElement,
  sequenceBytesOf,
  tags,
} from "./der.ts";
import {
  bitString,
  constructed,
  der,
  type DerValue,
  encodeDer,
  generalizedTime,
  objectIdentifier,
  octetString,
  primitive,
  sequence,
} from "./derWriter.ts";
import { readExtensions } from "./extensions.ts";
import { type CertId, encodeCertId, nonceExtension, nonceIn, readCertId } from "./ocspRequest.ts";
import { oids } from "./oid.ts";
import { algorithmIdentifier } from "./signatureAlgorithm.ts";
import { parseGeneralizedTime } from "./time.ts";

/** RFC 6960 §4.2.1: OCSPResponseStatus without `successful` (0); 4 is not used. */
export const ocspErrors = {
  malformedRequest: 1,
  internalError: 2,
  tryLater: 3,
  sigRequired: 5,
  unauthorized: 6,
} as const;
export type OcspError = keyof typeof ocspErrors;

/** CRLReason (RFC 5280 §5.3.1) by number; 7 is not used. */
const lastReason = 10;
const unusedReason = 7;

/** RFC 6960 §2.2 and §4.2.1. */
export type CertStatus =
  | { readonly status: "good" | "unknown" }
  | {
      readonly status: "revoked";
      readonly revocationTime: Date;
      /** CRLReason; undefined where none was given. */
      readonly reason: number | undefined;
    };

/** What is said of one certificate. Times are whole seconds. */
export type SingleResponse = CertStatus & {
  readonly certId: CertId;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date | undefined;
};

/** Who answers: the SHA-1 of its key (RFC 6960 §4.2.1: always SHA-1), or its DER Name. */
export type ResponderId = { readonly byKey: Buffer } | { readonly byName: Buffer };

/** What a ResponseData says. */
export interface ResponseData {
  readonly responderId: ResponderId;
  /** Whole seconds. */
  readonly producedAt: Date;
  readonly responses: readonly SingleResponse[];
  /** The request's, or undefined. */
  readonly nonce: Buffer | undefined;
}

/** A BasicOCSPResponse that was read. Its buffers are views of the input. Nothing is verified but the form. */
export interface BasicOcspResponse extends ResponseData {
  /** The signed bytes. */
  readonly tbs: Buffer;
  /** DER AlgorithmIdentifier. */
  readonly signatureIdentifier: Buffer;
  readonly signature: Buffer;
  /** DER certificates that came with it. */
  readonly certificates: readonly Buffer[];
}

/** A response that was read. */
export type OcspResponse =
  | { readonly error: OcspError }
  | { readonly error: undefined; readonly basic: BasicOcspResponse };

/** DER OCSPResponse of each error; the caller must not write into it. */
export const ocspErrorResponses = Object.fromEntries(
  Object.entries(ocspErrors).map(([name, number]) => [name, encodeDer(sequence(enumerated(number)))]),
) as Readonly<Record<OcspError, Buffer>>;

/**
 * DER ResponseData (RFC 6960 §4.2.1), version 1.
 * @throws {RangeError} for a fraction of a second, a time that cannot be written, a reason that is none · {DerError} for a name that is none
 */
export function encodeResponseData({ responderId, producedAt, responses, nonce }: ResponseData): Buffer {
  const extensions = nonce === undefined ? [] : [constructed(1, sequence(nonceExtension(nonce)))];
  return encodeDer(
    sequence(
      encodeResponderId(responderId),
      generalizedTime(producedAt),
      sequence(...responses.map(encodeSingleResponse)),
      ...extensions,
    ),
  );
}

function encodeResponderId(id: ResponderId): DerValue {
  if ("byKey" in id) return constructed(2, octetString(id.byKey));
  requireOneElement(id.byName, tags.sequence, "The responder's name");
  return constructed(1, id.byName);
}

function encodeSingleResponse(single: SingleResponse): DerValue {
  const nextUpdate = single.nextUpdate === undefined ? [] : [constructed(0, generalizedTime(single.nextUpdate))];
  return sequence(encodeCertId(single.certId), encodeStatus(single), generalizedTime(single.thisUpdate), ...nextUpdate);
}

function encodeStatus(status: CertStatus): DerValue {
  if (status.status !== "revoked") return primitive(status.status === "good" ? 0 : 2, Buffer.alloc(0));
  const { revocationTime, reason } = status;
  if (reason !== undefined && !isReason(reason)) throw new RangeError("Not a CRLReason");
  return constructed(
    1,
    generalizedTime(revocationTime),
    ...(reason === undefined ? [] : [constructed(0, enumerated(reason))]),
  );
}

const isReason = (number: number): boolean =>
  Number.isInteger(number) && number >= 0 && number <= lastReason && number !== unusedReason;

function enumerated(number: number): DerValue {
  return der(tags.enumerated, Uint8Array.of(number));
}

/** DER OCSPResponse of a ResponseData and its signature in the form that X.509 carries (see `Signer.sign`), without certificates. */
export function assembleOcspResponse(tbs: Uint8Array, algorithm: SignatureAlgorithm, signature: Uint8Array): Buffer {
  const basic = sequence(tbs, algorithmIdentifier(algorithm), bitString(signature));
  return encodeDer(
    sequence(enumerated(0), constructed(0, sequence(objectIdentifier(oids.ocspBasic), octetString(basic)))),
  );
}

/**
 * Reads exactly one DER OCSPResponse with a BasicOCSPResponse of version 1, or with an error.
 * @throws {DerError} also for a critical extension that is not known here
 */
export function readOcspResponse(input: Uint8Array): OcspResponse {
  const [status, bytes, ...more] = membersOf(readDer(input), tags.sequence, "The OCSP response");
  if (more.length > 0) throw new DerError("The OCSP response has more than two members");
  const number = enumeratedOf(status, "The status of the response");
  if (number !== 0) {
    const error = Object.entries(ocspErrors).find(([, one]) => one === number)?.[0];
    if (error === undefined) throw new DerError("The status of the response is not known");
    if (bytes !== undefined) throw new DerError("A response with an error has no further members");
    return { error: error as OcspError };
  }
  const [responseBytes, ...others] = membersOf(bytes, 0xa0, "The content of the response");
  const [type, response, ...rest] = membersOf(responseBytes, tags.sequence, "The content of the response");
  if (others.length > 0 || rest.length > 0) throw new DerError("The content of the response has members too many");
  if (oidOf(type, "The type of the response") !== oids.ocspBasic) throw new DerError("The response is not a basic one");
  return { error: undefined, basic: readBasic(contentOf(response, tags.octetString, "The basic response")) };
}

function readBasic(input: Buffer): BasicOcspResponse {
  const [tbs, algorithm, signature, certificates, ...more] = membersOf(readDer(input), tags.sequence, "The response");
  if (more.length > 0) throw new DerError("The basic response has more than four members");
  return {
    ...readTbs(membersOf(tbs, tags.sequence, "The response's data")),
    tbs: sequenceBytesOf(tbs, "The response's data"),
    signatureIdentifier: sequenceBytesOf(algorithm, "The signature algorithm"),
    signature: octetAlignedBitsOf(signature, "The signature"),
    certificates: certificates === undefined ? [] : readCertificates(certificates),
  };
}

function readCertificates(element: DerElement): Buffer[] {
  const [list, ...more] = membersOf(element, 0xa0, "The certificates of the response");
  if (more.length > 0) throw new DerError("The certificates of the response are not one list");
  return membersOf(list, tags.sequence, "The certificates of the response").map((one) =>
    sequenceBytesOf(one, "A certificate of the response"),
  );
}

/**
 * Reads a DER ResponseData.
 * @throws {DerError}
 */
export function readResponseData(input: Uint8Array): ResponseData {
  return readTbs(membersOf(readDer(input), tags.sequence, "The response's data"));
}

function readTbs(members: readonly DerElement[]): ResponseData {
  const [responder, producedAt, list, extensions, ...more] = members;
  if (more.length > 0) throw new DerError("The response's data has members that are not read");
  const responses = membersOf(list, tags.sequence, "The list of responses").map(readSingle);
  if (responses.length === 0) throw new DerError("The response says nothing of any certificate"); // RFC 6960 §4.2.1
  return {
    responderId: readResponderId(responder),
    producedAt: generalizedTimeOf(producedAt, "The producedAt"),
    responses,
    nonce: extensions === undefined ? undefined : nonceIn(extensionsOf(extensions)),
  };
}

function extensionsOf(element: DerElement): ReturnType<typeof readExtensions> {
  const [list, ...more] = membersOf(element, 0xa1, "The extensions of the response");
  if (more.length > 0) throw new DerError("The extensions are not one list");
  return readExtensions(list);
}

function readResponderId(element: DerElement | undefined): ResponderId {
  // Version 1 is the default, which DER does not write: what stands there with tag 0 is another version.
  if (element === undefined || element.children.length !== 1) throw new DerError("The responder is missing");
  const [inner] = element.children;
  if (element.tag === 0xa1) return { byName: sequenceBytesOf(inner, "The responder's name") };
  if (element.tag !== 0xa2) throw new DerError("The responder is neither named nor told by its key");
  const byKey = contentOf(inner, tags.octetString, "The hash of the responder's key");
  if (byKey.length !== 20) throw new DerError("The hash of the responder's key has not 20 octets");
  return { byKey };
}

function readSingle(element: DerElement): SingleResponse {
  const [certId, status, thisUpdate, ...rest] = membersOf(element, tags.sequence, "A response");
  const next = rest[0]?.tag === 0xa0 ? rest.shift() : undefined;
  const extensions = rest.shift();
  if (rest.length > 0) throw new DerError("A response has members that are not read");
  if (extensions !== undefined && extensionsOf(extensions).some(({ critical }) => critical))
    throw new DerError("A critical extension is not known here");
  return {
    ...readStatus(status),
    certId: readCertId(certId),
    thisUpdate: generalizedTimeOf(thisUpdate, "The thisUpdate"),
    nextUpdate: next && generalizedTimeOf(onlyChild(next), "The nextUpdate"),
  };
}

function onlyChild(element: DerElement): DerElement | undefined {
  if (element.children.length !== 1) throw new DerError("A tagged member holds not exactly one element");
  return element.children[0];
}

function readStatus(element: DerElement | undefined): CertStatus {
  if (element?.tag === 0x80 || element?.tag === 0x82) {
    if (element.contentStart !== element.end) throw new DerError("A status without further members has some");
    return { status: element.tag === 0x80 ? "good" : "unknown" };
  }
  const [revocationTime, reason, ...more] = membersOf(element, 0xa1, "The status of a certificate");
  if (more.length > 0) throw new DerError("The revocation has more than two members");
  return {
    status: "revoked",
    revocationTime: generalizedTimeOf(revocationTime, "The time of the revocation"),
    reason: reason && reasonOf(reason),
  };
}

function reasonOf(element: DerElement): number {
  const [number, ...more] = membersOf(element, 0xa0, "The reason of the revocation");
  if (more.length > 0) throw new DerError("The revocation has more than one reason");
  const reason = enumeratedOf(number, "The reason of the revocation");
  if (!isReason(reason)) throw new DerError("The reason of the revocation is not a CRLReason");
  return reason;
}

/** An ENUMERATED from 0 to 127. */
function enumeratedOf(element: DerElement | undefined, what: string): number {
  const content = contentOf(element, tags.enumerated, what);
  const [number = 0x80] = content;
  if (content.length !== 1 || number > 0x7f) throw new DerError(`${what} is out of range`);
  return number;
}

/** OCSP has GeneralizedTime for all years (RFC 6960 §4.2.1). */
function generalizedTimeOf(element: DerElement | undefined, what: string): Date {
  const date = parseGeneralizedTime(contentOf(element, tags.generalizedTime, what).toString("latin1"));
  if (date === undefined) throw new DerError(`${what} is not a time`);
  return date;
}
