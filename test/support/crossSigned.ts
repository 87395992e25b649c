/** Certificates that another CA gave to a key of ours: what `hierarchy.alternateChainFiles` is made of. */
import { generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";

import type { Signer } from "../../src/keys/signer.ts";
import {
  assembleCertificate,
  encodeTbsCertificate,
  readCertificate,
  type Extension,
} from "../../src/x509/certificate.ts";
import {
  authorityKeyIdentifier,
  basicConstraints,
  keyIdentifier,
  keyUsage,
  subjectKeyIdentifier,
} from "../../src/x509/extensions.ts";
import { encodeName } from "../../src/x509/name.ts";
import { memorySigner } from "./issuers.ts";

/** What a certificate is made for: ours, or a CA of another's. */
export interface Subject {
  readonly subject: Buffer;
  readonly spki: Buffer;
}

export interface OtherCa extends Subject {
  /** Self-signed. */
  readonly certificate: Buffer;
  readonly privateKey: KeyObject;
  /** A certificate for somebody's name and key. */
  certify(of: Subject, changes?: CrossChanges): Promise<Buffer>;
}

export interface CrossChanges {
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly cA?: boolean;
  readonly pathLenConstraint?: number;
  /** In place of the one that the key has. */
  readonly keyIdentifier?: Extension;
}

/** A root that nobody here knows. */
export async function otherCa(commonName: string): Promise<OtherCa> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signer = memorySigner(commonName, publicKey, privateKey);
  const own = { subject: encodeName({ commonName }), spki: signer.spki };
  const certify = (of: Subject, changes: CrossChanges = {}) => certified(signer, own.subject, of, changes);
  return { ...own, privateKey, certificate: await certify(own), certify };
}

/** One moment for all: no certificate ends after that of its issuer because a second has begun in between. */
const loadedAt = Math.floor(Date.now() / 1000) * 1000;

/** Name and key of a certificate. */
export function subjectOf(der: Buffer): Subject {
  const { subject, spki } = readCertificate(der);
  return { subject, spki };
}

async function certified(signer: Signer, issuer: Buffer, { subject, spki }: Subject, changes: CrossChanges) {
  const { cA = true, pathLenConstraint } = changes;
  const serialNumber = randomBytes(16);
  serialNumber[0] = 0x4f;
  const tbs = encodeTbsCertificate({
    serialNumber,
    signatureAlgorithm: signer.algorithm,
    issuer,
    notBefore: changes.notBefore ?? new Date(loadedAt - 3_600_000),
    notAfter: changes.notAfter ?? new Date(loadedAt + 86_400_000),
    subject,
    spki,
    extensions: [
      authorityKeyIdentifier(keyIdentifier(signer.spki)),
      changes.keyIdentifier ?? subjectKeyIdentifier(spki),
      basicConstraints({ cA, ...(pathLenConstraint !== undefined && { pathLenConstraint }) }),
      keyUsage(cA ? ["keyCertSign", "cRLSign"] : ["digitalSignature"]),
    ],
  });
  return assembleCertificate(tbs, signer.algorithm, await signer.sign(tbs));
}
