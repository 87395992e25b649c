/** What the signing steps have in common: the key, the issuer's certificate, and the one way from a template to a certificate. */
import { X509Certificate } from "node:crypto";

import { algorithmOfKind } from "../../keys/keyAlgorithms.ts";
import type { KeyKind, Signer } from "../../keys/signer.ts";
import { CertificateError, readCertificate, type Certificate } from "../../x509/certificate.ts";
import { encodeName } from "../../x509/name.ts";
import { nameConstraints, type NameConstraints } from "../../x509/nameConstraints.ts";
import { canonicalDnsName, NameError } from "../../x509/names.ts";
import { pemDecode, PemError } from "../../x509/pem.ts";
import {
  caSerialRandomOctets,
  lintCaCertificate,
  prepareCaCertificate,
  type CaIssuer,
  type CaTemplate,
} from "../caCertificate.ts";
import { caLints } from "../caLints/table.ts";
import { issuingKey } from "../issuingKey.ts";
import { signCertificate } from "../signCertificate.ts";
import { fingerprint } from "./describe.ts";
import { CeremonyStopped, type CeremonyGround } from "./ground.ts";

/** A certificate as a file of ours has it: PEM, the CA's own first. @returns undefined where there is no such file */
export async function certificateInFile(file: string, { files }: CeremonyGround): Promise<Certificate | undefined> {
  const text = await files.read(file);
  return text === undefined ? undefined : certificatesOf(text, file)[0];
}

/** Every certificate of a PEM text. @throws {CeremonyStopped} */
export function certificatesOf(text: string, file: string): Certificate[] {
  try {
    return pemDecode(text, "CERTIFICATE").map((der) => readCertificate(der, { lenient: true }));
  } catch (error) {
    if (error instanceof PemError || error instanceof CertificateError)
      throw new CeremonyStopped(`${file}: expected PEM certificates (${error.message})`, { cause: error });
    throw error;
  }
}

/** A CA of which the key is here. */
export interface SigningCa {
  readonly certificate: Certificate;
  readonly key: Signer;
  readonly issuer: CaIssuer;
}

/** The CA that a step signs with. @returns undefined where its certificate is not here yet */
export async function signingCa(file: string, ground: CeremonyGround): Promise<SigningCa | undefined> {
  const certificate = await certificateInFile(file, ground);
  if (certificate === undefined) return undefined;
  const { spki, subject, issuer, signatureAlgorithm, der } = certificate;
  const keys = await ground.keys();
  // What a self-signed certificate is signed with is what its key signs with.
  const algorithm = subject.equals(issuer) ? signatureAlgorithm : undefined;
  const key = await keys.find({ spki, ...(algorithm !== undefined && { algorithm }) });
  if (key === undefined)
    throw new CeremonyStopped(
      `${file}: the key of this CA (SPKI SHA-256 ${fingerprint(spki)}) was not found in ${keys.description}: hold this step where it is`,
    );
  return { certificate, key, issuer: { subject, spki, algorithm: key.algorithm, certificate: der } };
}

/** A key that is there, or will be made: a ceremony that was cut off goes on with the key that it made. */
export interface CeremonyKey {
  readonly label: string;
  /** Undefined where it is not there yet. */
  readonly found: Signer | undefined;
  /** What is to happen, for somebody to agree to. */
  readonly plan: string;
  readonly take: () => Promise<Signer>;
}

/** The key of this label. @throws {CeremonyStopped} where there is one of another kind */
export async function ceremonyKey(label: string, kind: KeyKind, ground: CeremonyGround): Promise<CeremonyKey> {
  const keys = await ground.keys();
  const algorithm = algorithmOfKind[kind];
  const found = await keys.find({ label, algorithm }).catch((error: unknown) => {
    throw new CeremonyStopped(`the key ${label}: ${(error as Error).message}`, { cause: error });
  });
  const plan =
    found === undefined
      ? `makes the key ${label} (${kind}) in ${keys.description}`
      : `uses the key ${label}, which is in ${keys.description} already (SPKI SHA-256 ${fingerprint(found.spki)})`;
  const take = async (): Promise<Signer> => {
    if (found !== undefined) return found;
    await ground.announce(`makes the key ${label} (${kind}) in ${keys.description}`);
    return await keys.generate(label, kind);
  };
  return { label, found, plan, take };
}

/** Prepare, lint, say so, sign, verify. @throws {LintFailed} */
export async function signCa(template: CaTemplate, key: Signer, ground: CeremonyGround): Promise<Buffer> {
  const prepared = prepareCaCertificate(template, { random: ground.random(caSerialRandomOctets) });
  const linted = lintCaCertificate(prepared);
  await ground.announce(
    `signs with the key ${key.label}: serial ${linted.serialNumber.toString("hex")}, to be signed SHA-256 ${fingerprint(linted.tbs)}, ` +
      `after ${caLints.length} lints`,
  );
  const der = await signCertificate(linted, issuingKey(key));
  const [made, issuer] = [new X509Certificate(der), new X509Certificate(template.issuer.certificate ?? der)];
  if (!made.checkIssued(issuer) || !made.verify(issuer.publicKey))
    throw new CeremonyStopped("the certificate that was just signed does not verify below its issuer");
  return der;
}

/** How long a CA that is made now is valid: whole seconds, a minute back for clocks that differ, the last second included. */
export function validityFor(
  lifetimeDays: number,
  now: Date,
  issuer?: Certificate,
): { notBefore: Date; notAfter: Date } {
  const start = new Date(Math.floor(now.getTime() / 1000) * 1000 - 60_000);
  const notAfter = new Date(start.getTime() + lifetimeDays * 86_400_000 - 1000);
  const notBefore = issuer !== undefined && issuer.notBefore > start ? issuer.notBefore : start;
  if (issuer !== undefined && notAfter > issuer.notAfter) {
    const most = Math.floor((issuer.notAfter.getTime() + 1000 - start.getTime()) / 86_400_000);
    throw new CeremonyStopped(
      `lifetimeDays: ${lifetimeDays}: the CA that signs ends on ${issuer.notAfter.toISOString()}: expected at most ${most}`,
    );
  }
  return { notBefore, notAfter };
}

/** A subject as a ceremony writes it. */
export const subjectName = (subject: { organization?: string; commonName: string }): Buffer => encodeName(subject);

/** X.520 caps a common name at 64 characters (ub-common-name). */
export const shortName = (name: string): string => name.slice(0, 64);

/** Name constraints as a ceremony writes them; undefined where there are none. @throws {CeremonyStopped} for what no certificate can have */
export function constraintsOf(
  written: { uri?: string[]; dns?: string[]; ip?: string[] } | undefined,
): NameConstraints | undefined {
  if (written === undefined) return undefined;
  const { uri = [], dns = [], ip = [] } = written;
  const constraints = { uri, dns, ip };
  try {
    // The lints look again, at what is to be signed; here no key is made yet.
    nameConstraints(constraints);
    for (const host of [...uri, ...dns]) canonicalDnsName(host.replace(/^\./, ""), { wildcard: false });
  } catch (error) {
    if (error instanceof NameError || error instanceof RangeError)
      throw new CeremonyStopped(`nameConstraints: ${error.message}`, { cause: error });
    throw error;
  }
  return constraints;
}
