/**
 * Certification requests with a good signature over whatever parts a test wants, legal or not.
 */
import { generateKeyPairSync, sign } from "node:crypto";
import { encodingOf, readDer, tags } from "../../src/x509/der.ts";
import {
  bitString,
  constructed,
  der,
  type DerPart,
  encodeDer,
  objectIdentifier,
  octetString,
  sequence,
  smallInteger,
} from "../../src/x509/derWriter.ts";
import { encodeName } from "../../src/x509/name.ts";
import { oids } from "../../src/x509/oid.ts";
import { algorithmIdentifier } from "../../src/x509/signatureAlgorithm.ts";

const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** The key that signs crafted requests; P-256. */
export const craftedSpki: Buffer = publicKey.export({ type: "spki", format: "der" });

/** Parts of a request; what is not given is as it should be, with no attributes. */
export interface CraftedParts {
  readonly version?: DerPart;
  readonly subject?: DerPart;
  readonly spki?: DerPart;
  readonly attributes?: DerPart;
  readonly behindAttributes?: readonly DerPart[];
  readonly algorithm?: DerPart;
  readonly behindSignature?: readonly DerPart[];
}

export function craftCsr(parts: CraftedParts = {}): Buffer {
  const info = encodeDer(
    sequence(
      parts.version ?? smallInteger(0),
      parts.subject ?? encodeName({}),
      parts.spki ?? craftedSpki,
      parts.attributes ?? constructed(0),
      ...(parts.behindAttributes ?? []),
    ),
  );
  const algorithm = parts.algorithm ?? algorithmIdentifier("ecdsa-p256-sha256");
  const signature = bitString(sign("sha256", info, privateKey));
  return encodeDer(sequence(info, algorithm, signature, ...(parts.behindSignature ?? [])));
}

/** An attribute with these values, which the caller sorts. */
export const attribute = (type: string, ...values: DerPart[]): DerPart =>
  sequence(objectIdentifier(type), der(tags.set, ...values));

/** An extension that is not critical. */
export const extension = (oid: string, value: DerPart): DerPart => sequence(objectIdentifier(oid), octetString(value));

/** The attributes of a request for these extensions. */
export const requesting = (...extensions: DerPart[]): DerPart =>
  constructed(0, attribute(oids.extensionRequest, sequence(...extensions)));

/** The information of a request with another key in it: what a stranger would sign. */
export function craftedInfo(request: Buffer, spki: Buffer): Buffer {
  const [info] = readDer(request).children;
  const [version, subject, , attributes] = info?.children ?? [];
  if (version === undefined || subject === undefined || attributes === undefined) throw new Error("not a request");
  return encodeDer(sequence(encodingOf(version), encodingOf(subject), spki, encodingOf(attributes)));
}
