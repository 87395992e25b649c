/**
 * Certificates and revocation lists as platforms have them, made here: what a synthetic cloud or processor maker signs with.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { encodeTbsCertificate } from "../../src/x509/certificate.ts";
import { tags } from "../../src/x509/der.ts";
import {
  bitString,
  constructed,
  der,
  type DerPart,
  encodeDer,
  sequence,
  smallInteger,
  time,
} from "../../src/x509/derWriter.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  encodeExtension,
  type Extension,
  keyIdentifier,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from "../../src/x509/extensions.ts";
import { encodeName } from "../../src/x509/name.ts";
import { pemEncode } from "../../src/x509/pem.ts";
import { algorithmIdentifier } from "../../src/x509/signatureAlgorithm.ts";

/** Who signs: a certificate and its key. */
export interface Issued {
  readonly der: Buffer;
  readonly pem: string;
  readonly name: Buffer;
  readonly issuerName: Buffer;
  readonly serialNumber: Buffer;
  readonly key: KeyObject;
  readonly spki: Buffer;
}

export interface Wishes {
  readonly commonName: string;
  /** Self-signed unless said. */
  readonly issuer?: Issued;
  readonly key?: KeyObject;
  readonly ca?: boolean;
  readonly dns?: readonly string[];
  readonly serialNumber?: Buffer;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly extensions?: readonly Extension[];
}

export const newKey = (): KeyObject => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
export const newRsaKey = (modulusLength = 2048): KeyObject => generateKeyPairSync("rsa", { modulusLength }).privateKey;

/** A certificate, signed as its issuer's key signs: P-256 or RSA with SHA-256. */
export function issue(wishes: Wishes): Issued {
  const key = wishes.key ?? newKey();
  const spki = spkiOf(key);
  const name = encodeName({ commonName: wishes.commonName, organization: "Platform of the tests" });
  const serialNumber = wishes.serialNumber ?? Buffer.concat([Buffer.from([0x4f]), randomBytes(8)]);
  const signer = wishes.issuer?.key ?? key;
  const algorithm = signer.asymmetricKeyType === "rsa" ? "rsa-pkcs1-sha256" : "ecdsa-p256-sha256";
  const ca = wishes.ca ?? wishes.issuer === undefined;
  const issuerName = wishes.issuer?.name ?? name;
  const tbs = encodeTbsCertificate({
    serialNumber,
    signatureAlgorithm: algorithm,
    issuer: issuerName,
    notBefore: wishes.notBefore ?? new Date("2020-01-01T00:00:00Z"),
    notAfter: wishes.notAfter ?? new Date("2049-01-01T00:00:00Z"),
    subject: name,
    spki,
    extensions: [
      basicConstraints({ cA: ca }),
      keyUsage(ca ? ["keyCertSign", "cRLSign"] : ["digitalSignature"]),
      subjectKeyIdentifier(spki),
      authorityKeyIdentifier(keyIdentifier(wishes.issuer?.spki ?? spki)),
      ...(wishes.dns === undefined ? [] : [subjectAltName({ dns: wishes.dns, ip: [], uri: [] }, false)]),
      ...(wishes.extensions ?? []),
    ],
  });
  const signature = sign("sha256", tbs, signer);
  const bytes = encodeDer(sequence(tbs, algorithmIdentifier(algorithm), bitString(signature)));
  return { der: bytes, pem: pemEncode("CERTIFICATE", bytes), name, issuerName, serialNumber, key, spki };
}

const spkiOf = (key: KeyObject): Buffer => createPublicKey(key).export({ type: "spki", format: "der" });

export interface ListWishes {
  readonly revoked?: readonly Buffer[];
  readonly thisUpdate?: Date;
  /** None is written for null. */
  readonly nextUpdate?: Date | null;
  readonly version1?: boolean;
  readonly extensions?: readonly Extension[];
  readonly signer?: KeyObject;
}

/** DER CertificateList of `issuer` (RFC 5280 §5.1), P-256 with SHA-256. */
export function revocationList(issuer: Issued, wishes: ListWishes = {}): Buffer {
  const thisUpdate = wishes.thisUpdate ?? new Date("2020-01-01T00:00:00Z");
  const nextUpdate = wishes.nextUpdate === undefined ? new Date("2049-01-01T00:00:00Z") : wishes.nextUpdate;
  const revoked = (wishes.revoked ?? []).map((serial) => sequence(der(tags.integer, serial), time(thisUpdate)));
  const extensions = wishes.extensions ?? [authorityKeyIdentifier(keyIdentifier(issuer.spki))];
  const members: DerPart[] = [
    ...(wishes.version1 === true ? [] : [smallInteger(1)]),
    algorithmIdentifier("ecdsa-p256-sha256"),
    issuer.name,
    time(thisUpdate),
    ...(nextUpdate === null ? [] : [time(nextUpdate)]),
    ...(revoked.length === 0 ? [] : [sequence(...revoked)]),
    ...(extensions.length === 0 ? [] : [constructed(0, sequence(...extensions.map(encodeExtension)))]),
  ];
  const tbs = encodeDer(sequence(...members));
  const signature = sign("sha256", tbs, wishes.signer ?? issuer.key);
  return encodeDer(sequence(tbs, algorithmIdentifier("ecdsa-p256-sha256"), bitString(signature)));
}
