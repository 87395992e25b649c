/** Makers of TPMs for tests: roots, certificates of endorsement and attestation keys, and a TPM's part in credential activation. */
import {
  constants,
  createDecipheriv,
  createHash,
  createHmac,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  privateDecrypt,
  randomBytes,
  sign,
  type KeyObject,
} from "node:crypto";
import { assembleCertificate, encodeTbsCertificate, readCertificate } from "../../../src/x509/certificate.ts";
import { tags } from "../../../src/x509/der.ts";
import { constructed, der, encodeDer, objectIdentifier, sequence, utf8String } from "../../../src/x509/derWriter.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  keyIdentifier,
  keyUsage,
  subjectKeyIdentifier,
  type Extension,
} from "../../../src/x509/extensions.ts";
import { encodeName } from "../../../src/x509/name.ts";
import { permanentIdentifierName } from "../../../src/x509/permanentIdentifier.ts";
import type { TrustedRoots } from "../../../src/attestation/certificateChain.ts";
import type { HashName } from "./softwareTpm.ts";

const spkiOf = (key: KeyObject): Buffer => createPublicKey(key).export({ type: "spki", format: "der" });

/** A CA that certifies keys of TPMs. */
export interface Maker {
  readonly der: Buffer;
  readonly subject: Buffer;
  readonly key: KeyObject;
}

/** Of CAs, and of what is to be good whenever the tests run. */
export const always = { notBefore: new Date("2020-01-01T00:00:00Z"), notAfter: new Date("2049-01-01T00:00:00Z") };

export function maker(commonName: string, issuer?: Maker): Maker {
  const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const subject = encodeName({ commonName });
  const extensions = [basicConstraints({ cA: true }), keyUsage(["keyCertSign"])];
  return { der: certificate(spkiOf(key), subject, issuer ?? { subject, key }, extensions, always), subject, key };
}

/** What a source trusts. */
export const rootsOf = (...makers: Maker[]): TrustedRoots => ({
  certificates: makers.map((one) => readCertificate(one.der)),
  fingerprints: [],
});

export interface CertificateWishes {
  /** OIDs; none leaves the extension out. */
  readonly purposes?: readonly string[];
  /** Attributes of the directoryName; none leaves it out. */
  readonly identity?: readonly (readonly [oid: string, text: string])[];
  readonly oneRelativeName?: boolean;
  /** The extension without any purpose in it. */
  readonly emptyPurposes?: boolean;
  readonly ca?: boolean;
  /** Of the device, beside the TPM's name. */
  readonly permanentIdentifiers?: readonly string[];
  /** A common name; the subject is empty unless said. */
  readonly subject?: string;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

export const purpose = { ek: "2.23.133.8.1", ak: "2.23.133.8.3" } as const;
export const identity = [
  ["2.23.133.2.1", "id:54534554"],
  ["2.23.133.2.2", "Model 7"],
  ["2.23.133.2.3", "id:0102"],
] as const;

/** A certificate of a TPM's key: an empty subject, and a SubjectAltName that names the TPM. */
export function keyCertificate(issuer: Maker, publicKey: KeyObject, wishes: CertificateWishes): Buffer {
  const { purposes = [], oneRelativeName = false, ca = false } = wishes;
  const extensions = [
    basicConstraints({ cA: ca }),
    ...(purposes.length === 0 && wishes.emptyPurposes !== true
      ? []
      : [{ oid: "2.5.29.37", critical: false, value: encodeDer(sequence(...purposes.map(objectIdentifier))) }]),
    ...((wishes.identity ?? identity).length === 0
      ? []
      : [subjectAltName(wishes.identity ?? identity, oneRelativeName, wishes.permanentIdentifiers)]),
  ];
  return certificate(
    publicKey.export({ type: "spki", format: "der" }),
    wishes.subject === undefined ? encodeDer(sequence()) : encodeName({ commonName: wishes.subject }),
    issuer,
    extensions,
    wishes,
  );
}

function subjectAltName(
  attributes: readonly (readonly [string, string])[],
  oneRelativeName: boolean,
  devices: readonly string[] = [],
): Extension {
  const written = attributes.map(([oid, text]) => encodeDer(sequence(objectIdentifier(oid), utf8String(text))));
  const relativeNames = oneRelativeName
    ? [der(tags.set, ...written.toSorted((a, b) => a.compare(b)))]
    : written.map((attribute) => der(tags.set, attribute));
  const names = [constructed(4, sequence(...relativeNames)), ...devices.map(permanentIdentifierName)];
  return { oid: "2.5.29.17", critical: true, value: encodeDer(sequence(...names)) };
}

function certificate(
  spki: Buffer,
  subject: Buffer,
  issuer: Pick<Maker, "subject" | "key">,
  extensions: readonly Extension[],
  { notBefore = new Date("2026-01-01T00:00:00Z"), notAfter = new Date("2027-01-01T00:00:00Z") }: CertificateWishes = {},
): Buffer {
  const tbs = encodeTbsCertificate({
    serialNumber: Buffer.concat([Buffer.of(0x4f), randomBytes(8)]),
    signatureAlgorithm: "ecdsa-p256-sha256",
    issuer: issuer.subject,
    notBefore,
    notAfter,
    subject,
    spki,
    extensions: [...extensions, subjectKeyIdentifier(spki), authorityKeyIdentifier(keyIdentifier(spkiOf(issuer.key)))],
  });
  return assembleCertificate(tbs, "ecdsa-p256-sha256", sign("sha256", tbs, issuer.key));
}

/** An endorsement key. */
export interface EndorsementKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export const endorsementKey = (kind: "rsa" | "P-256" | "P-384"): EndorsementKey =>
  kind === "rsa"
    ? generateKeyPairSync("rsa", { modulusLength: 2048 })
    : generateKeyPairSync("ec", { namedCurve: kind });

/**
 * TPM2_ActivateCredential, written from TPM 2.0 Library Part 1 §24 for itself.
 * @param name - of the key that the TPM holds
 * @throws {Error} when the credential is for another key
 */
export function activateCredential(
  { privateKey }: EndorsementKey,
  name: Buffer,
  { credentialBlob, encryptedSecret }: { credentialBlob: Buffer; encryptedSecret: Buffer },
): Buffer {
  const large = privateKey.asymmetricKeyDetails?.namedCurve === "secp384r1";
  const [hash, digestBytes, cipher, keyBits]: [HashName, number, string, number] = large
    ? ["sha384", 48, "aes-256-cfb", 256]
    : ["sha256", 32, "aes-128-cfb", 128];
  const seed = seedOf(privateKey, unsized(encryptedSecret), hash);
  const idObject = unsized(credentialBlob);
  if (idObject.readUInt16BE() !== digestBytes) throw new Error("not an integrity of this hash");
  const [integrity, identityPart] = [idObject.subarray(2, 2 + digestBytes), idObject.subarray(2 + digestBytes)];
  const derive = (label: string, context: Buffer, bits: number): Buffer => {
    const input = Buffer.concat([number(1), Buffer.from(`${label}\0`), context, number(bits)]);
    return createHmac(hash, seed)
      .update(input)
      .digest()
      .subarray(0, bits / 8);
  };
  const hmac = createHmac(hash, derive("INTEGRITY", Buffer.of(), digestBytes * 8));
  if (!hmac.update(identityPart).update(name).digest().equals(integrity)) throw new Error("integrity check failed");
  const decipher = createDecipheriv(cipher, derive("STORAGE", name, keyBits), Buffer.alloc(16));
  return unsized(Buffer.concat([decipher.update(identityPart), decipher.final()]));
}

function seedOf(privateKey: KeyObject, secret: Buffer, hash: HashName): Buffer {
  if (privateKey.asymmetricKeyType === "rsa") {
    const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: hash, oaepLabel: Buffer.from("IDENTITY\0") };
    return privateDecrypt({ key: privateKey, ...oaep }, secret);
  }
  const half = secret.length / 2;
  const [x, y] = [unsized(secret.subarray(0, half)), unsized(secret.subarray(half))];
  const { crv, x: ownX = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  const point = { kty: "EC", crv: crv ?? "", x: x.toString("base64url"), y: y.toString("base64url") };
  const shared = diffieHellman({ privateKey, publicKey: createPublicKey({ key: point, format: "jwk" }) });
  const parts = [number(1), shared, Buffer.from("IDENTITY\0"), x, Buffer.from(ownX, "base64url")];
  return createHash(hash).update(Buffer.concat(parts)).digest();
}

function unsized(bytes: Buffer): Buffer {
  if (bytes.readUInt16BE() !== bytes.length - 2) throw new Error("not a TPM2B");
  return bytes.subarray(2);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
