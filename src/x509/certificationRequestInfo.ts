/**
 * Certification requests (PKCS #10, RFC 2986) in two halves, for keys that stay in a token: what is signed, and the request around the
 * signature. Requests of agents are written by `csrWriter.ts`.
 */
import type { SignatureAlgorithm } from "../keys/signer.ts";
import { requireOneElement, tags } from "./der.ts";
import { bitString, constructed, encodeDer, objectIdentifier, sequence, setOfOne, smallInteger } from "./derWriter.ts";
import { encodeExtension, type Extension } from "./extensions.ts";
import { oids } from "./oid.ts";
import { algorithmIdentifier } from "./signatureAlgorithm.ts";

/** What a request says. */
export interface CertificationRequestInfo {
  /** DER Name. */
  readonly subject: Buffer;
  /** DER SubjectPublicKeyInfo. */
  readonly spki: Buffer;
  /** The extensions that are asked for (RFC 2985 §5.4.2); none twice. */
  readonly extensions: readonly Extension[];
}

/**
 * DER CertificationRequestInfo (RFC 2986 §4.1).
 * @throws {DerError} when subject or key is not one DER SEQUENCE · {RangeError} for an extension that is there twice
 */
export function encodeCertificationRequestInfo({ subject, spki, extensions }: CertificationRequestInfo): Buffer {
  requireOneElement(subject, tags.sequence, "The subject");
  requireOneElement(spki, tags.sequence, "The public key");
  if (new Set(extensions.map(({ oid }) => oid)).size !== extensions.length)
    throw new RangeError("A request has no extension twice");
  const wanted = sequence(...extensions.map(encodeExtension));
  const attributes =
    extensions.length === 0 ? [] : [sequence(objectIdentifier(oids.extensionRequest), setOfOne(wanted))];
  return encodeDer(sequence(smallInteger(0), subject, spki, constructed(0, ...attributes)));
}

/** DER CertificationRequest (RFC 2986 §4.2) of its information and the signature over that, as X.509 carries it (see `Signer.sign`). */
export function assembleCertificationRequest(
  info: Uint8Array,
  algorithm: SignatureAlgorithm,
  signature: Uint8Array,
): Buffer {
  return encodeDer(sequence(info, algorithmIdentifier(algorithm), bitString(signature)));
}
