/** Certificates in PEM: those that an operator pins, and those that come along with evidence. */
import { readFileSync, statSync } from "node:fs";
import { type Certificate, CertificateError, readCertificate } from "../x509/certificate.ts";
import { requireReadable } from "./sourceFile.ts";

const bytesMax = 262_144;
const block = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g;

/** The DER of each certificate of a PEM text, whatever the length of its lines and whatever stands between the blocks. */
export function derOfPem(text: string): Buffer[] {
  return [...text.matchAll(block)].map(([, base64 = ""]) => Buffer.from(base64, "base64"));
}

/**
 * The certificates of a file, at least one. Whoever changes what is trusted restarts.
 * @throws {Error} for people, naming the file
 */
export function readCertificateFile(path: string): Certificate[] {
  requireReadable(statSync(path), path, bytesMax);
  try {
    const certificates = derOfPem(readFileSync(path, "latin1")).map((der) => readCertificate(der, { lenient: true }));
    if (certificates.length === 0) throw new Error(`${path} holds no PEM certificate`);
    return certificates;
  } catch (error) {
    if (error instanceof CertificateError) throw new Error(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

/**
 * The PEM text of a file with certificates by which a server is verified, read once.
 * @throws {Error} for people, naming the file
 */
export function readCaFile(path: string): string {
  requireReadable(statSync(path), path, bytesMax);
  const pem = readFileSync(path, "utf8");
  if (!pem.includes("-----BEGIN CERTIFICATE-----")) throw new Error(`${path} holds no PEM certificate`);
  return pem;
}
