/** Certificates of CAs that are none of ours, as platforms have them: made for tests, right in every way or wrong in one. */
import { constants, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import {
  bitString,
  constructed,
  der,
  type DerPart,
  encodeDer,
  objectIdentifier,
  sequence,
  smallInteger,
  time,
} from "../../src/x509/derWriter.ts";
import { tags } from "../../src/x509/der.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  encodeExtension,
  type Extension,
  keyIdentifier,
  keyUsage,
  subjectKeyIdentifier,
} from "../../src/x509/extensions.ts";
import { encodeName } from "../../src/x509/name.ts";
import { oids } from "../../src/x509/oid.ts";

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/** How a foreign CA signs. */
export type ForeignAlgorithm =
  | "ecdsa-sha1"
  | "ecdsa-sha256"
  | "ecdsa-sha384"
  | "ecdsa-sha512"
  | "rsa-sha1"
  | "rsa-sha256"
  | "rsa-sha384"
  | "rsa-sha512"
  | "pss-sha1"
  | "pss-sha256"
  | "pss-sha384"
  | "ed25519";

const signatureOids: Record<Exclude<ForeignAlgorithm, `pss-${string}`>, string> = {
  "ecdsa-sha1": "1.2.840.10045.4.1",
  "ecdsa-sha256": oids.ecdsaWithSHA256,
  "ecdsa-sha384": oids.ecdsaWithSHA384,
  "ecdsa-sha512": oids.ecdsaWithSHA512,
  "rsa-sha1": "1.2.840.113549.1.1.5",
  "rsa-sha256": oids.sha256WithRSAEncryption,
  "rsa-sha384": oids.sha384WithRSAEncryption,
  "rsa-sha512": oids.sha512WithRSAEncryption,
  ed25519: oids.ed25519,
};
const hashOids: Record<string, string> = { sha1: "1.3.14.3.2.26", sha256: oids.sha256, sha384: oids.sha384 };
const hashSizes: Record<string, number> = { sha1: 20, sha256: 32, sha384: 48 };

/** DER AlgorithmIdentifier. */
export function foreignAlgorithmIdentifier(algorithm: ForeignAlgorithm): Buffer {
  const [scheme, hash = ""] = algorithm.split("-");
  if (scheme === "pss") return pssIdentifier({ hash, maskHash: hash });
  const oid = objectIdentifier(signatureOids[algorithm as keyof typeof signatureOids]);
  return encodeDer(scheme === "rsa" ? sequence(oid, der(tags.null)) : sequence(oid));
}

/** RSASSA-PSS with parameters of the test's choice (RFC 4055 §3.1). */
export function pssIdentifier(parameters: {
  readonly hash: string;
  readonly maskHash: string;
  readonly mask?: string;
  readonly trailer?: number;
}): Buffer {
  const { hash, maskHash, mask = oids.mgf1, trailer } = parameters;
  const algorithm = (name: string): DerPart => sequence(objectIdentifier(hashOids[name] ?? ""));
  const members = [
    constructed(0, algorithm(hash)),
    constructed(1, sequence(objectIdentifier(mask), algorithm(maskHash))),
    constructed(2, smallInteger(hashSizes[hash] ?? 0)),
    ...(trailer === undefined ? [] : [constructed(3, smallInteger(trailer))]),
  ];
  return encodeDer(sequence(objectIdentifier(oids.rsassaPss), sequence(...members)));
}

/** A signature in the form that certificates carry. */
export function foreignSignature(algorithm: ForeignAlgorithm, message: Buffer, key: KeyObject): Buffer {
  const [scheme, hash = ""] = algorithm.split("-");
  if (scheme === "ed25519") return sign(null, message, key);
  if (scheme !== "pss") return sign(hash, message, key);
  const saltLength = hashSizes[hash] ?? 0;
  return sign(hash, message, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
}

/** In place of `notBefore` and `notAfter` below. */
export interface Validity {
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

/** One certificate. What is not said is as it should be. */
export interface CertificatePlan extends Validity {
  /** A common name, or a whole DER Name. */
  readonly subject: string | Buffer;
  readonly keys: KeyPair;
  /** A SubjectPublicKeyInfo in place of the one of `keys`. */
  readonly spki?: Buffer;
  readonly cA?: boolean;
  readonly pathLenConstraint?: number;
  readonly serialNumber?: Buffer;
  /** In place of those that a certificate of its kind has. */
  readonly extensions?: readonly Extension[];
  /** Besides those. */
  readonly more?: readonly Extension[];
  readonly algorithm?: ForeignAlgorithm;
  /** The AlgorithmIdentifier that it names, in place of the algorithm's. */
  readonly identifier?: Buffer;
}

/** Who issues: the name, its key, and how it signs unless a plan says otherwise. */
export interface ForeignIssuer {
  readonly subject: string;
  readonly keys: KeyPair;
  readonly algorithm: ForeignAlgorithm;
}

export const notBefore = new Date("2026-01-01T00:00:00Z");
export const notAfter = new Date("2027-01-01T00:00:00Z");
/** An instant within. */
export const foreignNow = new Date("2026-06-15T12:00:00Z");

/** A certificate from `issuer`, DER. */
export function foreignCertificate(issuer: ForeignIssuer, plan: CertificatePlan): Buffer {
  const spki = plan.spki ?? spkiOf(plan.keys.publicKey);
  const { cA = false, pathLenConstraint, algorithm = issuer.algorithm } = plan;
  const constraints = { cA, ...(pathLenConstraint !== undefined && { pathLenConstraint }) };
  const extensions = plan.extensions ?? [
    authorityKeyIdentifier(keyIdentifier(spkiOf(issuer.keys.publicKey))),
    subjectKeyIdentifier(spki),
    basicConstraints(constraints),
    keyUsage(cA ? ["keyCertSign", "cRLSign"] : ["digitalSignature"]),
  ];
  const list = [...extensions, ...(plan.more ?? [])];
  const identifier = plan.identifier ?? foreignAlgorithmIdentifier(algorithm);
  const tbs = encodeDer(
    sequence(
      constructed(0, smallInteger(2)),
      der(tags.integer, plan.serialNumber ?? Buffer.from([0])),
      identifier,
      encodeName({ commonName: issuer.subject }),
      sequence(time(plan.notBefore ?? notBefore), time(plan.notAfter ?? notAfter)),
      typeof plan.subject === "string" ? encodeName({ commonName: plan.subject }) : plan.subject,
      spki,
      ...(list.length === 0
        ? []
        : [constructed(3, sequence(...list.map((extension): DerPart => encodeExtension(extension))))]),
    ),
  );
  return encodeDer(sequence(tbs, identifier, bitString(foreignSignature(algorithm, tbs, issuer.keys.privateKey))));
}

/** A root and the way to certify below it. */
export interface ForeignAuthority extends ForeignIssuer {
  readonly certificate: Buffer;
  /** A CA below this one. */
  authority(subject: string, plan?: Partial<CertificatePlan> & { readonly signs?: ForeignAlgorithm }): ForeignAuthority;
  certify(plan: CertificatePlan): Buffer;
}

/** A self-signed root. */
export function foreignRoot(
  subject: string,
  algorithm: ForeignAlgorithm,
  plan: Partial<CertificatePlan> = {},
): ForeignAuthority {
  const keys = plan.keys ?? keysFor(algorithm);
  const issuer = { subject, keys, algorithm };
  return authorityOf(issuer, foreignCertificate(issuer, { subject, cA: true, ...plan, keys }));
}

function authorityOf(issuer: ForeignIssuer, certificate: Buffer): ForeignAuthority {
  return {
    ...issuer,
    certificate,
    certify: (plan) => foreignCertificate(issuer, plan),
    authority(subject, { signs = issuer.algorithm, ...plan } = {}) {
      const keys = plan.keys ?? keysFor(signs);
      const below = { subject, keys, algorithm: signs };
      return authorityOf(below, foreignCertificate(issuer, { subject, cA: true, ...plan, keys }));
    },
  };
}

/** A new key pair that can sign by this algorithm; RSA of 2048 bits, because larger ones take seconds to find. */
export function keysFor(algorithm: ForeignAlgorithm): KeyPair {
  const [scheme, hash] = algorithm.split("-");
  if (scheme === "ed25519") return generateKeyPairSync("ed25519");
  if (scheme === "ecdsa") return generateKeyPairSync("ec", { namedCurve: hash === "sha384" ? "P-384" : "P-256" });
  return generateKeyPairSync("rsa", { modulusLength: 2048 });
}

/** DER SubjectPublicKeyInfo. */
export const spkiOf = (key: KeyObject): Buffer => key.export({ type: "spki", format: "der" });

/** An extension around bytes of the test's own. */
export const rawExtension = (oid: string, critical: boolean, value: Buffer): Extension => ({ oid, critical, value });
