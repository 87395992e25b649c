/**
 * CMS SignedData (RFC 5652) as a cloud makes it, in DER or in BER as streaming writers have it, and in the ways it can be wrong. The writer
 * shares nothing with `src/attestation/signedData.ts` but the writing of DER.
 */
import { createHash, sign } from "node:crypto";
import { tags } from "../../src/x509/der.ts";
import {
  constructed,
  der,
  type DerPart,
  type DerValue,
  encodeDer,
  objectIdentifier,
  octetString,
  primitive,
  sequence,
  setOfOne,
  smallInteger,
} from "../../src/x509/derWriter.ts";
import { keyIdentifier } from "../../src/x509/extensions.ts";
import { oids } from "../../src/x509/oid.ts";
import type { Issued } from "./platformCertificates.ts";

export interface DocumentWishes {
  readonly content: Buffer;
  readonly signer: Issued;
  /** Named as the signer in place of it. */
  readonly named?: Issued;
  readonly byKeyIdentifier?: boolean;
  readonly certificates?: readonly Issued[];
  /** With signed attributes unless false. */
  readonly attributes?: boolean;
  /** What message-digest and signature speak of, where that is not the content. */
  readonly signedContent?: Buffer;
  /** The digest algorithm's OID, where it is not SHA-256's. */
  readonly digestOid?: string;
  readonly digest?: "sha1" | "sha256" | "sha384" | "sha512";
  readonly signatureOid?: string;
  readonly contentType?: string;
  readonly attributeContentType?: string;
  readonly detached?: boolean;
  /** How many times the one SignerInfo stands there. */
  readonly signers?: number;
  /** Indefinite lengths, content in pieces of so many octets. */
  readonly pieces?: number;
}

const nothing = der(tags.null);
const algorithm = (oid: string): DerValue => sequence(objectIdentifier(oid), nothing);

/** A ContentInfo. */
export function signedDocument(wishes: DocumentWishes): Buffer {
  const digestOid = wishes.digestOid ?? oids[wishes.digest === "sha1" ? "sha256" : (wishes.digest ?? "sha256")];
  const type = objectIdentifier(wishes.contentType ?? oids.pkcs7Data);
  const signerInfo = encodeDer(signerInfoOf(wishes, digestOid));
  const certificates = (wishes.certificates ?? []).map((one) => one.der).toSorted((a, b) => a.compare(b));
  const rest: DerPart[] = [
    ...(certificates.length > 0 ? [constructed(0, ...certificates)] : []),
    der(tags.set, ...Array.from({ length: wishes.signers ?? 1 }, () => signerInfo)),
  ];
  const head = [smallInteger(1), der(tags.set, algorithm(digestOid))];
  if (wishes.pieces === undefined) {
    const content = wishes.detached === true ? [] : [constructed(0, octetString(wishes.content))];
    const signedData = sequence(...head, sequence(type, ...content), ...rest);
    return encodeDer(sequence(objectIdentifier(oids.pkcs7SignedData), constructed(0, signedData)));
  }
  const pieces: Buffer[] = [];
  for (let at = 0; at < wishes.content.length; at += wishes.pieces) {
    pieces.push(encodeDer(octetString(wishes.content.subarray(at, at + wishes.pieces))));
  }
  const content = indefinite(0xa0, indefinite(0x24, ...pieces));
  const encap = indefinite(tags.sequence, encodeDer(type), content);
  const signedData = indefinite(tags.sequence, ...head.map(encodeDer), encap, ...rest.map(bytesOf));
  return indefinite(tags.sequence, encodeDer(objectIdentifier(oids.pkcs7SignedData)), indefinite(0xa0, signedData));
}

/** An element of indefinite length (X.690 §8.1.3.6). */
export function indefinite(tag: number, ...members: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([tag, 0x80]), ...members, Buffer.alloc(2)]);
}

const bytesOf = (part: DerPart): Buffer => (part instanceof Uint8Array ? Buffer.from(part) : encodeDer(part));

function signerInfoOf(wishes: DocumentWishes, digestOid: string): DerValue {
  const { signer, content, signedContent = content, digest = "sha256", byKeyIdentifier = false } = wishes;
  const named = wishes.named ?? signer;
  const sid = byKeyIdentifier
    ? primitive(0, keyIdentifier(named.spki))
    : sequence(named.issuerName, der(tags.integer, named.serialNumber));
  const attributes =
    wishes.attributes === false
      ? undefined
      : [
          attribute(oids.contentType, objectIdentifier(wishes.attributeContentType ?? oids.pkcs7Data)),
          attribute(oids.messageDigest, octetString(createHash(digest).update(signedContent).digest())),
        ];
  const signed = attributes === undefined ? signedContent : encodeDer(der(tags.set, ...attributes));
  const rsa = signer.key.asymmetricKeyType === "rsa";
  const signatureOid = wishes.signatureOid ?? (rsa ? oids.rsaEncryption : oids.ecdsaWithSHA256);
  return sequence(
    smallInteger(byKeyIdentifier ? 3 : 1),
    sid,
    algorithm(digestOid),
    ...(attributes === undefined ? [] : [constructed(0, ...attributes)]),
    rsa ? algorithm(signatureOid) : sequence(objectIdentifier(signatureOid)),
    octetString(sign(digest, signed, signer.key)),
  );
}

const attribute = (oid: string, value: DerPart): DerValue => sequence(objectIdentifier(oid), setOfOne(value));
